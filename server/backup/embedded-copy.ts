import { constants } from 'node:fs'
import { cp, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import { create, extract } from 'tar'
import type pg from 'pg'
import type { Clock } from '../../lib/clock.ts'

/** Sooner than the server takes a silent transaction for a forgotten one. */
const sayEveryMs = 10_000

/**
 * Copies the folder of an embedded database that is in use, by the connection that has the turn: its one backend writes
 * for nobody else meanwhile, and after a checkpoint all that was committed is in the files. Everybody waits for as long
 * as copying takes, which is nothing on file systems that share blocks.
 */
export async function copyEmbedded(
  client: pg.ClientBase,
  { pgdata, target, clock }: { readonly pgdata: string; readonly target: string; readonly clock: Clock },
): Promise<void> {
  await client.query('checkpoint')
  let copying = true
  const copied = cp(pgdata, join(target, 'pgdata'), { recursive: true, mode: constants.COPYFILE_FICLONE }).finally(
    () => {
      copying = false
    },
  )
  while (copying) {
    const next = new Promise<void>((resolve) => void clock.after(sayEveryMs, resolve))
    await Promise.race([copied.catch(() => undefined), next])
    if (copying) await client.query('select 1')
  }
  await copied
}

/** The copy as one stream. */
export async function* packFolder(folder: string): AsyncGenerator<Uint8Array, void, undefined> {
  const packed = create({ cwd: folder, portable: true }, ['pgdata'])
  for await (const bytes of packed) yield bytes
}

/** Lays a packed copy down in `folder`. */
export async function unpackFolder(folder: string, dump: AsyncIterable<Uint8Array>): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  const unpacked = extract({ cwd: folder, strict: true })
  const ended = finished(unpacked)
  ended.catch(() => undefined)
  for await (const bytes of dump)
    if (!unpacked.write(Buffer.from(bytes)))
      await Promise.race([new Promise<void>((resolve) => unpacked.once('drain', resolve)), ended])
  unpacked.end()
  await ended
}
