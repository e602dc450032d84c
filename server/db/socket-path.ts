import { mkdtempSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'

/** Postgres clients look for this name in the folder that they are given as host. */
const socketName = '.s.PGSQL.5432'
/** The kernel takes 108 bytes on Linux and 104 on macOS, zero included. */
const maxSocketBytes = 100
const noteName = 'socket'

/**
 * Chooses where the server of a data folder listens: inside the folder, or, when that path is too long for a socket,
 * in a fresh private folder for temporary files. Leaves a note in the data folder for those who attach.
 */
export async function placeSocket(dataDir: string): Promise<string> {
  const inside = join(dataDir, socketName)
  const path =
    Buffer.byteLength(inside) <= maxSocketBytes ? inside : join(mkdtempSync(join(tmpdir(), 'tidewire-')), socketName)
  await rm(path, { force: true })
  await writeFile(join(dataDir, noteName), path, { mode: 0o600 })
  return path
}

/** Where the running server of this data folder listens; nothing when none has ever run. */
export async function findSocket(dataDir: string): Promise<string | undefined> {
  return readFile(join(dataDir, noteName), 'utf8').catch(() => undefined)
}

/** Removes socket and note after the server has closed. */
export async function removeSocket(dataDir: string, path: string): Promise<void> {
  await rm(path, { force: true })
  await rm(join(dataDir, noteName), { force: true })
  if (dirname(path) !== dataDir) await rm(dirname(path), { recursive: true, force: true })
}
