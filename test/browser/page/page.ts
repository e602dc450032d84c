// The page of sdk.browser.test.ts: an app on the public SDK alone, at the hands of the test.
import { connect, TideError, type Client } from '@tidewire/client'

export interface OpenOptions {
  readonly url: string
  readonly token: string
  readonly name: string
  /** Offline from the first moment on; default false. */
  readonly offline?: boolean
}

/** What the replica shows, and the writes that wait. */
export interface PageContent {
  readonly titles: readonly string[]
  readonly ids: readonly string[]
  /** Row ids of pending inserts into tasks. */
  readonly pendingIds: readonly string[]
  readonly pending: number
}

export interface SdkPage {
  /** Answers `open`, or the code and remedy of the refusal. */
  open(options: OpenOptions): Promise<string>
  /** Follows the demo project and answers its id once all of its rows are here. */
  follow(): Promise<string>
  disconnect(): void
  goOnline(): void
  /**
   * Inserts tasks `<prefix> 0` …, so many in a transaction; resolves when all are durable; `inserted` counts on the
   * way.
   */
  insert(projectId: string, prefix: string, count: number, together: number): Promise<void>
  readonly inserted: number
  read(prefix: string): Promise<PageContent>
  /** Starts a live query; `watched` are the titles it shows. */
  watch(prefix: string): void
  readonly watched: readonly string[]
  readonly connection: string
  synced(): Promise<void>
  readonly violations: readonly string[]
  close(): Promise<void>
}

let tide: Client | undefined
let inserted = 0
let watched: readonly string[] = []
const violations: string[] = []
addEventListener('securitypolicyviolation', ({ effectiveDirective, blockedURI, sourceFile, lineNumber }) => {
  violations.push(`${effectiveDirective} ${blockedURI} ${sourceFile}:${lineNumber}`)
})

function client(): Client {
  if (tide === undefined) throw new Error('No client is open.')
  return tide
}

const page: SdkPage = {
  open: async ({ url, token, name, offline = false }) => {
    try {
      tide = await connect({ url, token, replica: { kind: 'pglite', name }, device: { name: 'page', kind: 'browser' } })
    } catch (error) {
      if (error instanceof TideError) return `${error.code}: ${error.message} ${error.remedy}`
      throw error
    }
    if (offline) tide.disconnect()
    return 'open'
  },
  follow: async () => {
    await (
      await client().subscribe({ organization: true }, { tables: ['projects'] })
    ).ready
    const [project] = await client().projects.find({ where: { slug: 'demo' } })
    if (project === undefined) throw new Error('The demo project is missing.')
    await (
      await client().subscribe({ project: project.id })
    ).ready
    return project.id
  },
  disconnect: () => client().disconnect(),
  goOnline: () => client().connect(),
  insert: async (projectId, prefix, count, together) => {
    for (let from = 0; from < count; from += together) {
      const titles = Array.from({ length: together }, (_, index) => `${prefix} ${from + index}`)
      await client().transaction(async (tx) => {
        for (const title of titles) await tx.tasks.insert({ projectId, title })
      })
      inserted += together
    }
  },
  get inserted() {
    return inserted
  },
  read: async (prefix) => {
    const rows = await client().tasks.find({ where: { title: { like: `${prefix} %` } } })
    const writes = await client().writes.find()
    const inserts = writes.filter(({ table, op }) => table === 'tasks' && op === 'insert')
    return {
      titles: rows.map(({ title }) => title).sort(),
      ids: rows.map(({ id }) => id).sort(),
      pendingIds: inserts.map(({ rowId }) => rowId).sort(),
      pending: client().status.pending,
    }
  },
  watch: (prefix) => {
    client().tasks.live({ where: { title: { like: `${prefix} %` } } }, (rows) => {
      watched = rows.map(({ title }) => title)
    })
  },
  get watched() {
    return watched
  },
  get connection() {
    return client().status.connection
  },
  synced: () => client().synced(),
  violations,
  close: () => client().close(),
}

Object.assign(globalThis, { sdkPage: page })
