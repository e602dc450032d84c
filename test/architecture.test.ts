// The shape of the house (docs/architecture.md, "Rooms") as data, held by tests. Each rule is also shown a violation.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import * as rules from './support/architecture-rules.ts'
import type { SourceFile } from './support/source-file.ts'

/**
 * Who may import whom, types included. protocol/ and lib/ are free to import; nothing imports the gateway but the
 * composition root.
 */
const ARROWS: rules.Arrows = {
  lib: [],
  protocol: [],

  'server/config': [],
  'server/telemetry': [],
  'server/entities': [],
  'server/catalog': ['server/entities'],
  'server/db': ['server/catalog', 'server/entities', 'server/telemetry', 'server/config'],
  'server/cluster': ['server/telemetry'],
  'server/scope': ['server/catalog', 'server/db', 'server/telemetry'],
  'server/capture': ['server/catalog', 'server/db', 'server/scope', 'server/telemetry'],
  'server/auth': ['server/catalog', 'server/db', 'server/scope', 'server/telemetry', 'server/config'],
  'server/credentials': ['server/db'],
  'server/integrations': ['server/credentials', 'server/db', 'server/telemetry'],
  'server/backup': ['server/config', 'server/credentials', 'server/db', 'server/maintenance', 'server/telemetry'],
  'server/mutation': ['server/catalog', 'server/db', 'server/scope', 'server/telemetry'],
  'server/search': ['server/catalog', 'server/db', 'server/scope', 'server/telemetry', 'server/config'],
  // The form of access tokens.
  'server/actions': ['server/auth', 'server/catalog', 'server/db', 'server/scope', 'server/telemetry'],
  // One way to find what is near, for clients and for code in the server.
  'server/repositories': ['server/catalog', 'server/db', 'server/entities', 'server/scope', 'server/search'],
  'server/hub': ['server/capture', 'server/catalog', 'server/db', 'server/scope', 'server/telemetry'],
  'server/maintenance': ['server/capture', 'server/catalog', 'server/db', 'server/telemetry'],
  'server/demo': ['server/db'],
  'server/gateway': [
    'server/actions',
    'server/auth',
    'server/catalog',
    'server/cluster',
    'server/config',
    'server/hub',
    'server/mutation',
    'server/scope',
    'server/search',
    'server/telemetry',
  ],
  'server/compose': ['*'],
  'server/server': ['*'],
  'server/tide-server': ['*'],
  'server/reports': [
    'server/capture',
    'server/cluster',
    'server/config',
    'server/db',
    'server/gateway',
    'server/hub',
    'server/maintenance',
    'server/telemetry',
  ],
  'server/cli': [
    'server/actions',
    'server/auth',
    'server/backup',
    'server/capture',
    'server/catalog',
    'server/config',
    'server/db',
    'server/demo',
    'server/entities',
    'server/maintenance',
    'server/credentials',
    'server/scope',
    'server/tide-server',
    'server/telemetry',
  ],

  'client-sdk/connection': ['client-sdk/replica', 'client-sdk/store'],
  'client-sdk/store': [],
  'client-sdk/outbox': ['client-sdk/store'],
  'client-sdk/conflict': ['client-sdk/outbox', 'client-sdk/store'],
  'client-sdk/replica': ['client-sdk/conflict', 'client-sdk/outbox', 'client-sdk/store'],
  'client-sdk/query': ['client-sdk/replica', 'client-sdk/store'],
  'client-sdk/subscription': ['client-sdk/connection', 'client-sdk/query', 'client-sdk/replica', 'client-sdk/store'],
  'client-sdk/verify': ['client-sdk/connection', 'client-sdk/replica', 'client-sdk/store'],
  'client-sdk/tables': [
    'client-sdk/conflict',
    'client-sdk/outbox',
    'client-sdk/query',
    'client-sdk/replica',
    'client-sdk/search',
    'client-sdk/store',
    'client-sdk/subscription',
  ],
  'client-sdk/search': ['client-sdk/connection', 'client-sdk/query', 'client-sdk/replica', 'client-sdk/store'],
  'client-sdk/export': ['client-sdk/outbox', 'client-sdk/replica', 'client-sdk/store'],
  'client-sdk/presence': ['client-sdk/connection'],
  'client-sdk/tabs': [
    'client-sdk/conflict',
    'client-sdk/connection',
    'client-sdk/outbox',
    'client-sdk/replica',
    'client-sdk/store',
  ],
  'client-sdk/react': ['client-sdk/index'],
  'client-sdk/schema.generated': [],
  'client-sdk/agent-dna': [],
  'client-sdk/events': ['client-sdk/actions', 'client-sdk/call-action'],
  'client-sdk/call-action': ['client-sdk/actions'],
  'client-sdk/actions': ['client-sdk/schema.generated'],
  'client-sdk/connect-options': [
    'client-sdk/connection',
    'client-sdk/outbox',
    'client-sdk/schema.generated',
    'client-sdk/store',
  ],
  'client-sdk/client': ['*'],
  'client-sdk/client-base': ['*'],
  'client-sdk/index': ['*'],
  'client-sdk/testing': ['*'],
}

/**
 * Second entrances: contracts that several rooms code against, and whose door would drag the whole room in; and the
 * pure parts of the one engine (outbox, conflict, replica), each small enough to be its own door.
 */
const SIDE_DOORS: ReadonlySet<string> = new Set([
  'server/auth/access-token.ts',
  'server/catalog/generate.ts',
  'server/catalog/shipped-rows.ts',
  'server/catalog/trigger-sql.ts',
  'server/credentials/credential-kinds.ts',
  'server/entities/define.ts',
  'server/entities/enums.ts',
  // Tables with queries of their own.
  'server/entities/agents/context-vectors.ts',
  'server/entities/costs/token-usages.ts',
  'server/entities/memory/knowledge-entries.ts',
  'server/entities/memory/memories.ts',
  'server/entities/memory/patterns.ts',
  'server/entities/planning/tasks.ts',
  'server/entities/sync/sync-conflicts.ts',
  'server/capture/change-source.ts',
  'server/db/message-tap.ts',
  'server/db/row-codec.ts',
  'server/db/row-bytes.ts',
  'server/db/row-packer.ts',
  'server/db/sql-refusal.ts',
  'server/mutation/mutations.ts',
  'server/mutation/sql-mutation-store.ts',
  'server/scope/access.ts',
  'server/scope/cascade.ts',
  'server/scope/device-transaction.ts',
  'server/scope/homes.ts',
  'server/scope/principal.ts',
  'server/scope/sql-query.ts',
  'server/scope/token-condition.ts',
  'server/scope/token-scopes.ts',
  'server/scope/transaction.ts',
  'server/search/candidates.ts',
  'server/search/few-rows.ts',
  'server/search/nearest.ts',
  'server/search/rank.ts',
  'client-sdk/conflict/resolution-effect.ts',
  'client-sdk/connection/connection-view.ts',
  'client-sdk/connection/transport.ts',
  'client-sdk/outbox/depends.ts',
  'client-sdk/outbox/effect.ts',
  'client-sdk/outbox/fold.ts',
  'client-sdk/outbox/renew.ts',
  'client-sdk/outbox/row-key.ts',
  'client-sdk/outbox/row-sync.ts',
  'client-sdk/outbox/select-push.ts',
  'client-sdk/outbox/tail.ts',
  'client-sdk/outbox/wire-value.ts',
  'client-sdk/query/live-query.ts',
  'client-sdk/query/typed-query.ts',
  // A tab that follows another keeps the same mirror.
  'client-sdk/replica/mirror.ts',
  'client-sdk/replica/received.ts',
  'client-sdk/replica/replica-change.ts',
  'client-sdk/replica/replica-view.ts',
  'client-sdk/replica/subscription-key.ts',
  'client-sdk/search/search.ts',
  'client-sdk/store/holding.ts',
  'client-sdk/store/open-store.ts',
])

/** Files that read the text of an unknown error, for who asked: it is of a library that knows no row. */
const ERRORS_READ: ReadonlySet<string> = new Set([
  'server/auth/auth.ts', // why a signature is refused
  'server/capture/wal/replication-client.ts', // wraps it, with its cause
  'server/db/db.ts', // why there is no connection
  'server/db/embedded-worker.ts', // why files were not copied
  'server/db/turns.ts', // to the client that broke the protocol
  'server/maintenance/embedding/provider.ts', // why a service was not reached
])

/**
 * The composition roots: they alone construct, so they reach into every room of their house; and the types of what one
 * makes.
 */
const COMPOSERS: ReadonlySet<string> = new Set([
  'server/compose.ts',
  'server/server.ts',
  'server/tide-server.ts',
  'server/reports.ts',
  'client-sdk/client.ts',
  'client-sdk/client-base.ts',
  'client-sdk/index.ts',
])

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const HOUSE = ['lib', 'protocol', 'server', 'client-sdk']
const AROUND = ['test', 'bench', 'examples', 'scripts'].filter((part) => existsSync(join(ROOT, part)))

const house = HOUSE.flatMap(sources)
const everything = [...house, ...AROUND.flatMap(sources)]

const CLOCKS =
  /\bDate\.now\b|\bnew Date\(\)|\bMath\.random\b|\bperformance\.now\b|(?<![\w.])(?:globalThis\.|window\.)?set(?:Timeout|Interval|Immediate)\(|\brandomUUID\b/

/** Lines. What a program writes may be as long as it likes. */
function capOf(path: string): number {
  if (path.includes('.generated.')) return Infinity
  return path.startsWith('test/') ? 600 : 400
}

const RULES = {
  arrows: rules.followsArrows(ARROWS),
  doors: rules.usesDoors(SIDE_DOORS, COMPOSERS),
  caps: rules.fitsCap(capOf),
  comments: rules.wrapsComments(120, (path) => !path.includes('.generated.')),
  environment: rules.onlyIn(
    'the environment',
    /\bprocess\.env\b|\bimport\.meta\.env\b/,
    (path) => path === 'server/config.ts',
    'read by server/config.ts and handed on',
  ),
  clocks: rules.onlyIn(
    'time and chance',
    CLOCKS,
    (path) => path.startsWith('lib/'),
    'handed in: lib/clock.ts, lib/random.ts',
  ),
  timers: rules.importedOnlyBy(/^(node:)?timers/, () => false),
  sockets: rules.importedOnlyBy(/^(socket\.io|@socket\.io\/|engine\.io)/, (path) =>
    /^(server\/gateway|client-sdk\/connection)\//.test(path),
  ),
  leaves: rules.importedOnlyBy(/^node:/, (path) => !/^(protocol|lib)\//.test(path) || path === 'lib/folder-lock.ts'),
  errors: rules.tellsErrorsByText(ERRORS_READ),
  browsers: rules.loadsWithout('client-sdk/index.ts', /^node:/, 'browsers'),
  // Each is megabytes of every server, and some only serve at the first sign-in, with Redis, or for units of an
  // application.
  weight: rules.loadsWithout(
    'server/cli/start.ts',
    /^(@mikro-orm\/(?!core$)|kysely|@redis\/|@socket\.io\/|@opentelemetry\/|pino-pretty|tar$|@node-rs\/|@electric-sql\/)/,
    'servers that never use it',
  ),
  names: rules.hasNames(new Set(['client-sdk/index.ts'])),
} as const

describe('the house', () => {
  test('has files in every part', () => {
    for (const part of HOUSE) expect(house.filter(({ path }) => path.startsWith(`${part}/`))).not.toHaveLength(0)
  })

  test('keeps its arrows free of circles', () => expect(rules.arrowCircles(ARROWS)).toEqual([]))

  test('has every room that an arrow or a side door names', () => {
    const paths = house.map(({ path }) => path)
    expect(rules.missingRooms(ARROWS, paths)).toEqual([])
    expect([...SIDE_DOORS, ...COMPOSERS].filter((path) => !paths.includes(path))).toEqual([])
  })

  test('imports along the arrows', () => expect(RULES.arrows(house)).toEqual([]))

  test('enters rooms by their doors', () => expect(RULES.doors(house)).toEqual([]))

  test('has no circle of files', () => expect(rules.hasNoCircles(house)).toEqual([]))

  test('keeps files short', () => expect(RULES.caps(everything)).toEqual([]))

  test('wraps its comments', () => expect(RULES.comments(everything)).toEqual([]))

  test('reads the environment in one place', () => expect(RULES.environment(house)).toEqual([]))

  test('takes time and chance from lib', () => {
    expect(RULES.clocks(house)).toEqual([])
    expect(RULES.timers(house)).toEqual([])
  })

  test('speaks socket.io in two rooms', () => expect(RULES.sockets(house)).toEqual([]))

  test('tells errors without the values of rows', () => expect(RULES.errors(house)).toEqual([]))

  test('keeps Node out of protocol, lib and what browsers load', () => {
    expect(RULES.leaves(house)).toEqual([])
    expect(RULES.browsers(house)).toEqual([])
  })

  test('loads what only some servers need where it is used', () => expect(RULES.weight(house)).toEqual([]))

  test('names files after what is inside', () => expect(RULES.names(house)).toEqual([]))
})

describe('the rules catch', () => {
  const file = (path: string, text: string): SourceFile => ({ path, text })

  test.each([
    ['mutation → hub', file('server/mutation/x.ts', `import { hub } from '../hub/hub.ts'`)],
    ['hub → mutation, by a type', file('server/hub/x.ts', `import type { Decision } from '../mutation/mutation.ts'`)],
    ['server → client-sdk', file('server/hub/x.ts', `import { connect } from '@tidewire/client'`)],
    ['client-sdk → server', file('client-sdk/store/x.ts', `export { x } from '../../server/db/db.ts'`)],
    ['anything → gateway', file('server/hub/x.ts', `import '../gateway/gateway.ts'`)],
    ['protocol → a room', file('protocol/x.ts', `import { x } from '../server/db/db.ts'`)],
    ['an arrow over several lines', file('server/hub/x.ts', `import {\n  x,\n  y,\n} from '../mutation/mutation.ts'`)],
    ['an arrow by import()', file('server/mutation/x.ts', `const hub = await import('../hub/hub.ts')`)],
    ['a room without a line', file('server/attic/x.ts', '')],
  ])('a wrong arrow: %s', (_, violation) => expect(RULES.arrows([violation])).toHaveLength(1))

  test('arrows of and to rooms that are not there', () => {
    const arrows = { lib: [], 'server/hub': ['server/attic', '*'], 'server/cellar': [] }
    const missing = rules.missingRooms(arrows, ['lib/a.ts', 'server/hub/hub.ts'])
    expect(missing).toEqual(['server/attic', 'server/cellar'])
  })

  test('a circle of arrows', () => {
    expect(rules.arrowCircles({ a: ['b'], b: ['c'], c: ['a'] })).toEqual(['a → b → c → a'])
  })

  test('a window used as a door', () => {
    expect(RULES.doors([file('server/gateway/x.ts', `import { x } from '../hub/hub.ts'`)])).toEqual([])
    expect(RULES.doors([file('server/gateway/x.ts', `import { x } from '../hub/reader.ts'`)])).toHaveLength(1)
    expect(RULES.doors([file('server/hub/hub.ts', `import { x } from './reader.ts'`)])).toEqual([])
    expect(RULES.doors([file('server/server.ts', `import { x } from './hub/reader.ts'`)])).toEqual([])
  })

  test('a circle of files', () => {
    const circle = [file('lib/a.ts', `import './b.ts'`), file('lib/b.ts', `import type { A } from './a.ts'`)]
    expect(rules.hasNoCircles(circle)).toEqual(['lib/a.ts → lib/b.ts → lib/a.ts'])
  })

  test('a file that is too long', () => {
    expect(RULES.caps([file('lib/a.ts', 'x\n'.repeat(400))])).toEqual([])
    expect(RULES.caps([file('lib/a.ts', 'x\n'.repeat(401)), file('test/a.ts', 'x\n'.repeat(601))])).toHaveLength(2)
  })

  test('a comment that is too wide, but not code', () => {
    const wide = 'x'.repeat(120)
    const comments = [`// a ${wide}`, `  /** ${wide} */`, `   * a ${wide}`].map((text) => file('lib/a.ts', text))
    expect(RULES.comments(comments)).toHaveLength(3)
    expect(RULES.comments([file('lib/a.ts', `const x = '${wide}'\n// https://${wide}`)])).toEqual([])
  })

  test('the environment outside config, but not in words', () => {
    expect(RULES.environment([file('server/db/x.ts', `const url = process.env['X']`)])).toHaveLength(1)
    expect(RULES.environment([file('server/db/x.ts', `// process.env\nconst words = 'process.env'`)])).toEqual([])
  })

  test.each([
    'Date.now()',
    'new Date()',
    'Math.random()',
    'performance.now()',
    'setTimeout(f, 1)',
    'globalThis.setInterval(f)',
  ])('time and chance outside lib: %s', (code) => {
    expect(RULES.clocks([file('server/hub/x.ts', `const x = ${code}`)])).toHaveLength(1)
    expect(RULES.clocks([file('lib/clock.ts', `const x = ${code}`)])).toEqual([])
  })

  test.each([
    'log.debug("x", { error: String(error) })',
    'fail(error instanceof Error ? error.message : "x")',
    'log.error("x", {\n  of: f(1),\n  error: error?.message,\n})',
  ])('the text of an error on its way to a log: %s', (code) => {
    expect(RULES.errors([file('server/hub/x.ts', code)])).toHaveLength(1)
    expect(RULES.errors([file('server/cli/x.ts', code), file('client-sdk/x.ts', code)])).toEqual([])
  })

  test('timers imported from Node', () => {
    expect(RULES.timers([file('server/hub/x.ts', `import { setTimeout } from 'node:timers/promises'`)])).toHaveLength(1)
  })

  test('socket.io in another room', () => {
    expect(RULES.sockets([file('server/hub/x.ts', `import type { Socket } from 'socket.io'`)])).toHaveLength(1)
    expect(RULES.sockets([file('server/gateway/x.ts', `import { Server } from 'socket.io'`)])).toEqual([])
  })

  test('Node in protocol and lib', () => {
    expect(RULES.leaves([file('protocol/x.ts', `import { hash } from 'node:crypto'`)])).toHaveLength(1)
    expect(RULES.leaves([file('lib/folder-lock.ts', `import { open } from 'node:fs'`)])).toEqual([])
  })

  test('Node on the way to a browser', () => {
    const door = file('client-sdk/index.ts', `export { a } from './store/a.ts'`)
    const disk = (text: string) => RULES.browsers([door, file('client-sdk/store/a.ts', text)])
    expect(disk(`import { open } from 'node:fs'`)).toHaveLength(1)
    expect(disk(`import type { Stats } from 'node:fs'\nconst fs = await import('node:fs')`)).toEqual([])
  })

  test.each([
    'server/hub/utils.ts',
    'lib/types.ts',
    'server/hub/index.ts',
    'server/helpers/x.ts',
    'lib/hub-manager.ts',
  ])('a name that says nothing: %s', (path) => expect(RULES.names([file(path, '')])).toHaveLength(1))
})

/** The TypeScript files of a part of the project, builds and dependencies excepted. */
function sources(part: string): readonly SourceFile[] {
  return readdirSync(join(ROOT, part), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && /\.tsx?$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name).slice(ROOT.length).replaceAll('\\', '/'))
    .filter((path) => !/\/(dist|node_modules)\//.test(path))
    .map((path) => ({ path, text: readFileSync(join(ROOT, path), 'utf8') }))
}
