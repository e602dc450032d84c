import { PGlite } from '@electric-sql/pglite'
import { vector } from '@electric-sql/pglite-pgvector'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { lockFolder } from '../../lib/folder-lock.ts'
import { TideError } from '../../protocol/error.ts'
import type { PGliteLike, PglitePlace } from './pglite-like.ts'

/**
 * A PGlite with pgvector on a folder, for one process: finished transactions survive a kill at any moment (not a power
 * cut: PGlite leaves writing to the disk to the operating system). Throws `TideError` `replica_locked`.
 */
export async function openPglite(place: PglitePlace): Promise<PGliteLike> {
  if (!('dir' in place)) {
    throw new TideError('config_invalid', `The replica ${place.name} has a name but no folder.`, {
      remedy: 'Outside browsers give `dir`, a folder.',
    })
  }
  const lock = await lockFolder(place.dir)
  try {
    const dataDir = join(place.dir, 'pgdata')
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
