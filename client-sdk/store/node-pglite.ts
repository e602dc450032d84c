import { PGlite } from '@electric-sql/pglite'
import { vector } from '@electric-sql/pglite-pgvector'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { lockFolder } from '../../lib/folder-lock.ts'
import { TideError } from '../../protocol/error.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import type { PGliteLike, PglitePlace } from './pglite-like.ts'
import { createPgliteStore } from './pglite-store.ts'
import type { ReplicaStore } from './store.ts'

/**
 * A replica in a PGlite with pgvector on a folder, for one process: finished transactions survive a kill at any moment
 * (not a power cut: PGlite leaves writing to the disk to the operating system). Throws `TideError` `replica_locked`.
 */
export async function openPgliteStore(place: PglitePlace, schema: Schema): Promise<ReplicaStore> {
  if (!('dir' in place)) {
    throw new TideError('config_invalid', `The replica ${place.name} has a name but no folder.`, {
      remedy: 'Outside browsers give `dir`, a folder.',
    })
  }
  return createPgliteStore({ schema, open: () => openPglite(place.dir) })
}

async function openPglite(dir: string): Promise<PGliteLike> {
  const lock = await lockFolder(dir)
  try {
    const dataDir = join(dir, 'pgdata')
    await mkdir(dataDir, { recursive: true })
    const database = await PGlite.create({ dataDir, extensions: { vector }, postgresqlconf: ['shared_buffers=32MB'] })
    await database.exec(`set timezone to 'UTC'`)
    return {
      query: database.query.bind(database),
      exec: database.exec.bind(database),
      transaction: database.transaction.bind(database),
      close: async () => {
        await database.close()
        await lock.release()
      },
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}
