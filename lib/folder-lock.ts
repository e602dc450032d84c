import { randomUUID } from 'node:crypto'
import { link, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { TideError } from '../protocol/error.ts'

/**
 * One process at a time in a folder, also after crashes, on a local file system.
 *
 * Locks are files `lock.<n>`; the one of the highest number counts. It holds the owner's pid and when that process
 * began, so that another process that got the same pid is not taken for it. To take over a lock that was released or
 * whose owner is gone, one makes `lock.<n + 1>`: a hard link with the content already in it, which only one process can
 * create. The highest file is never removed, so numbers only grow, and whoever was slow and made a lower one sees the
 * higher and withdraws.
 */
export interface FolderLock {
  /** Lets others in. Calling it twice is harmless. */
  release(): Promise<void>
}

interface Owner {
  readonly pid: number
  /**
   * When the process began, in ticks since the machine did, and which run of the machine; null where that is unknown.
   */
  readonly started: string | null
  readonly released: boolean
}

const lockName = /^lock\.(\d+)$/

/**
 * Locks a folder, which is made if there is none. Throws `TideError` `replica_locked` while a living process has it.
 */
export async function lockFolder(folder: string): Promise<FolderLock> {
  await mkdir(folder, { recursive: true })
  const me: Owner = { pid: process.pid, started: await startOf(process.pid), released: false }
  for (;;) {
    const last = await highest(folder)
    const owner = await ownerOf(folder, last)
    if (owner !== undefined && (await isAlive(owner))) throw locked(folder, owner.pid)
    const mine = last + 1
    if (!(await create(folder, mine, me))) continue
    if ((await highest(folder)) === mine) {
      await removeBelow(folder, mine)
      return { release: () => write(folder, mine, { ...me, released: true }) }
    }
    await rm(pathOf(folder, mine), { force: true })
  }
}

function locked(folder: string, pid: number): TideError {
  const who = pid === process.pid ? `this process (${pid})` : `process ${pid}`
  return new TideError('replica_locked', `The folder ${folder} is open in ${who}.`)
}

function pathOf(folder: string, number: number): string {
  return join(folder, `lock.${number}`)
}

async function numbersIn(folder: string): Promise<readonly number[]> {
  const names = await readdir(folder)
  return names
    .map((name) => lockName.exec(name)?.[1])
    .filter((digits) => digits !== undefined)
    .map(Number)
}

async function highest(folder: string): Promise<number> {
  return Math.max(0, ...(await numbersIn(folder)))
}

async function ownerOf(folder: string, number: number): Promise<Owner | undefined> {
  try {
    return JSON.parse(await readFile(pathOf(folder, number), 'utf8')) as Owner
  } catch {
    // Never made, removed by the owner of a higher one, or not ours: whoever makes the next number finds out.
    return undefined
  }
}

/** Makes the lock file with its content in one step; false when it exists. */
async function create(folder: string, number: number, owner: Owner): Promise<boolean> {
  const draft = await writeDraft(folder, owner)
  try {
    await link(draft, pathOf(folder, number))
    return true
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}

async function write(folder: string, number: number, owner: Owner): Promise<void> {
  try {
    await rename(await writeDraft(folder, owner), pathOf(folder, number))
  } catch (error) {
    // The folder itself was removed: then nobody is locked out.
    if (codeOf(error) !== 'ENOENT') throw error
  }
}

async function writeDraft(folder: string, owner: Owner): Promise<string> {
  const draft = join(folder, `lock-draft-${randomUUID()}`)
  await writeFile(draft, JSON.stringify(owner))
  return draft
}

async function removeBelow(folder: string, number: number): Promise<void> {
  const lower = (await numbersIn(folder)).filter((other) => other < number)
  await Promise.all(lower.map((other) => rm(pathOf(folder, other), { force: true })))
}

async function isAlive(owner: Owner): Promise<boolean> {
  if (owner.released) return false
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    // EPERM: it lives and belongs to somebody else.
    if (codeOf(error) === 'ESRCH') return false
  }
  const started = await startOf(owner.pid)
  return owner.started === null || started === null || started === owner.started
}

/** Field 22 of /proc/<pid>/stat, after the name in parentheses, which may itself hold spaces and parentheses. */
async function startOf(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    const [state, ticks] = [fields[0], fields[19]]
    // A zombie has ended; only its parent has not asked how.
    return state === 'Z' ? 'ended' : `${boot.trim()}/${ticks}`
  } catch {
    return null
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}
