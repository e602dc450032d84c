import { randomUUID } from 'node:crypto'
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TideError } from '../protocol/error.ts'

/** The right to use a folder alone, until `release`. A process that dies gives it up by dying. */
export interface FolderLock {
  release(): Promise<void>
}

interface Holder {
  readonly pid: number
  /** What tells this process from a later one with the same pid. Empty where the system does not say. */
  readonly started: string
  readonly token: string
}

/**
 * Takes a folder for this process, through a file `lock` in it that names the holder. Throws `replica_locked` while the
 * holder lives (this process itself counts); a lock whose holder is gone is taken over.
 */
export async function lockFolder(dir: string): Promise<FolderLock> {
  const path = join(dir, 'lock')
  const mine: Holder = { pid: process.pid, started: await startOf(process.pid), token: randomUUID() }
  const text = JSON.stringify(mine)
  for (let attempt = 0; attempt < 10; attempt++) {
    if (await create(path, text)) return { release: () => release(path, text) }
    const found = await readFile(path, 'utf8').catch(() => undefined)
    if (found === undefined) continue
    const holder = parseHolder(found)
    if (holder && (await isAlive(holder))) throw lockedBy(dir, holder)
    await removeStale(path, found)
  }
  throw new TideError('replica_locked', `The lock of ${dir} changes hands too quickly to be taken.`)
}

/** Written aside and linked, so that whoever sees the lock sees all of it. */
async function create(path: string, text: string): Promise<boolean> {
  const draft = `${path}.${randomUUID()}`
  await writeFile(draft, text, { mode: 0o600 })
  try {
    await link(draft, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}

/** Moves the file aside and looks again: had another process just taken over the same stale lock, its lock is put back. */
async function removeStale(path: string, stale: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`
  try {
    await rename(path, aside)
    if ((await readFile(aside, 'utf8')) !== stale) await link(aside, path)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code !== 'ENOENT' && code !== 'EEXIST') throw error
  } finally {
    await rm(aside, { force: true })
  }
}

async function release(path: string, text: string): Promise<void> {
  const found = await readFile(path, 'utf8').catch(() => undefined)
  if (found === text) await rm(path, { force: true })
}

function parseHolder(text: string): Holder | undefined {
  try {
    const { pid, started, token } = JSON.parse(text) as Partial<Holder>
    return typeof pid === 'number' && pid > 0 ? { pid, started: started ?? '', token: token ?? '' } : undefined
  } catch {
    return undefined
  }
}

async function isAlive(holder: Holder): Promise<boolean> {
  try {
    process.kill(holder.pid, 0)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EPERM') return false
  }
  const started = await startOf(holder.pid)
  return started === '' || holder.started === '' || started === holder.started
}

/** Start time of a process in clock ticks since boot, and which boot (Linux); elsewhere ''. */
async function startOf(pid: number): Promise<string> {
  try {
    const [stat, boot] = await Promise.all([readFile(`/proc/${pid}/stat`, 'utf8'), readFile('/proc/sys/kernel/random/boot_id', 'utf8')])
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
    return `${boot.trim()} ${ticks ?? ''}`
  } catch {
    return ''
  }
}

function lockedBy(dir: string, holder: Holder): TideError {
  const who = holder.pid === process.pid ? 'this process' : `process ${holder.pid}`
  return new TideError('replica_locked', `The folder ${dir} is in use by ${who}.`)
}
