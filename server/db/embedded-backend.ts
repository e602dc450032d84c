import type { PGlite } from '@electric-sql/pglite'
import type { Backend } from './turns.ts'
import { syncMessage } from './wire.ts'

/**
 * PGlite as the backend of a `TurnServer`. Its raw calls without a stream (0.5) also parse every answer, every field of
 * it, and keep what they parsed for ever: with them a server grew by 130 MB with each 100,000 rows that it read.
 */
export function backendOf(database: PGlite): Backend {
  let hears: ((piece: Uint8Array) => void) | undefined
  // PGlite goes on calling the listener of its last stream until another call of its own has ended.
  const onRawData = (piece: Uint8Array): void => hears?.(piece)
  return {
    exec(messages, take) {
      hears = take
      try {
        // Without the file system's turn all of it happens during this call. What it throws ends the thread.
        void database.execProtocolRawStream(messages, { syncToFs: false, onRawData })
      } finally {
        hears = undefined
      }
    },
  }
}

/** Before calls of PGlite's own that read answers: the first one after a stream does not hear its own. */
export async function endStream(database: PGlite): Promise<void> {
  await database.execProtocol(syncMessage, { syncToFs: false })
}
