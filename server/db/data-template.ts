/**
 * Folders of a migrated but otherwise empty embedded database, kept in the user's cache. initdb and the migrations are
 * most of a first start; a copy takes a tenth of a second. A template is only ever a shortcut: one that is stale has
 * another name, one that is not whole is dropped, and without it the database is made from nothing.
 *
 *     <cache>/pgdata-<hash of all it was made from>/pgdata   the folder
 *                                                  /files   fingerprint of its files
 */
import { createHash } from 'node:crypto'
import { constants, cpSync, readdirSync, readFileSync } from 'node:fs'
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Beside the migrations, all that decides about the content of a migrated folder. */
const packages = ['@electric-sql/pglite', '@electric-sql/pglite-pgvector']

/** So many are kept: of the branches or versions that somebody goes to and fro between. */
const keptTemplates = 3

export class DataTemplate {
  readonly #cache: string
  readonly #folder: string

  /** `cache`: the folder of all templates; made when the first is kept. */
  constructor(cache: string) {
    this.#cache = cache
    this.#folder = join(cache, `pgdata-${sourceHash()}`)
  }

  /** Puts a copy at `pgdata`, whole or not at all. Answers whether it is there. */
  async copyTo(pgdata: string): Promise<boolean> {
    const draft = `${pgdata}.draft`
    try {
      const files = await readFile(join(this.#folder, 'files'), 'utf8')
      // What others could have written is not trusted with everything that will be stored.
      if ((await stat(this.#folder)).uid !== process.getuid?.()) return false
      await rm(draft, { recursive: true, force: true })
      await cp(join(this.#folder, 'pgdata'), draft, { recursive: true, mode: constants.COPYFILE_FICLONE })
      if ((await fingerprint(draft)) !== files) throw new Error(`${this.#folder} is not whole.`)
      await rename(draft, pgdata)
      return true
    } catch (error) {
      await rm(draft, { recursive: true, force: true })
      if (!hasCode(error, 'ENOENT')) await this.drop()
      return false
    }
  }

  /** Keeps what `copy` puts into the folder it is told. Throws when the cache cannot be written. */
  async keep(copy: (target: string) => Promise<void>): Promise<void> {
    await mkdir(this.#cache, { recursive: true, mode: 0o700 })
    const draft = await mkdtemp(`${this.#folder}.`)
    try {
      const pgdata = join(draft, 'pgdata')
      await copy(pgdata)
      await writeFile(join(draft, 'files'), await fingerprint(pgdata))
      // Another process may have been quicker: its template is as good.
      await rename(draft, this.#folder).catch((error: unknown) => {
        if (!hasCode(error, 'ENOTEMPTY', 'EEXIST')) throw error
      })
      await this.#prune()
    } finally {
      await rm(draft, { recursive: true, force: true })
    }
  }

  /** It turned out to be unusable. */
  async drop(): Promise<void> {
    await rm(this.#folder, { recursive: true, force: true }).catch(() => undefined)
  }

  async #prune(): Promise<void> {
    const names = (await readdir(this.#cache)).filter((name) => name.startsWith('pgdata-'))
    const found = await Promise.all(
      names.map(async (name) => ({ path: join(this.#cache, name), at: (await stat(join(this.#cache, name))).mtimeMs })),
    )
    const old = found.toSorted((a, b) => b.at - a.at).slice(keptTemplates)
    await Promise.all(old.map(({ path }) => rm(path, { recursive: true, force: true })))
  }
}

/**
 * Copies the folder of a database that has made a checkpoint, in one go: nothing runs in this thread meanwhile.
 * Segments of the WAL after `lastSegment` are empty ones for later, and stay behind.
 */
export function copyCheckpointed(pgdata: string, target: string, lastSegment: string): void {
  const isNeeded = (path: string): boolean => {
    const segment = /pg_wal[/\\]([0-9A-F]{24})$/.exec(path)?.[1]
    return !(segment !== undefined && segment > lastSegment) && !path.endsWith('postmaster.pid')
  }
  cpSync(pgdata, target, { recursive: true, filter: isNeeded, mode: constants.COPYFILE_FICLONE })
}

function sourceHash(): string {
  const migrations = readdirSync(join(root, 'migrations')).filter((name) => /^Migration.*\.[jt]s$/.test(name))
  const { resolve } = createRequire(import.meta.url)
  const files = [
    ...migrations.toSorted().map((name) => join(root, 'migrations', name)),
    fileURLToPath(new URL('./embedded-worker.ts', import.meta.url)),
    ...packages.map((name) => join(dirname(resolve(name)), '../package.json')),
  ]
  const hash = createHash('sha256')
  for (const path of files) hash.update(basename(path)).update(readFileSync(path))
  return hash.digest('hex').slice(0, 16)
}

/** Of the names and sizes of all files. Their pages carry checksums of their own, which Postgres compares. */
async function fingerprint(folder: string): Promise<string> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  const lines = await Promise.all(files.map(async (path) => `${path.slice(folder.length)} ${(await stat(path)).size}`))
  return createHash('sha256').update(lines.toSorted().join('\n')).digest('hex')
}

function hasCode(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && codes.some((code) => code === error.code)
}
