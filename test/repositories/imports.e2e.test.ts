// What is imported connects to nothing: entities, catalog, server and SDK are loaded in a process whose sockets and
// files of databases are watched.
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const root = join(import.meta.dirname, '../..')

/** Runs a module in a process of its own where whoever connects or listens is written down. */
async function connectionsOf(code: string): Promise<readonly string[]> {
  const watch = `
    import net from 'node:net'
    const seen = []
    const { connect } = net.Socket.prototype
    net.Socket.prototype.connect = function (...args) { seen.push('connect ' + JSON.stringify(args[0])); return connect.apply(this, args) }
    const { listen } = net.Server.prototype
    net.Server.prototype.listen = function (...args) { seen.push('listen'); return listen.apply(this, args) }
    ;${code}
    await new Promise((resolve) => setImmediate(resolve))
    const left = process.getActiveResourcesInfo().filter((name) => /Worker|MessagePort|TCP|Pipe(?!Wrap)/.test(name))
    console.log(JSON.stringify([...seen, ...left]))`
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--conditions=tidewire:source', '--input-type=module', '--eval', watch],
    {
      cwd: root,
      env: { ...process.env, DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none', REDIS_URL: 'redis://127.0.0.1:1' },
      timeout: 120_000,
    },
  )
  return JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
}

test.each([
  ['the server', `await import('./server/server.ts')`],
  ['its entities and catalog', `(await import('./server/catalog/catalog.ts')).loadCatalog()`],
  [
    'its repositories, made and not used',
    `
    const { createRepositories } = await import('./server/repositories/repositories.ts')
    createRepositories({ database: {}, catalog: (await import('./server/catalog/catalog.ts')).loadCatalog() })`,
  ],
  [
    'a server, made and not started',
    `
    const { createServer, loadConfig } = await import('./server/server.ts')
    createServer(loadConfig({ DATABASE_URL: process.env.DATABASE_URL, AUTH_SECRET: 'x'.repeat(40) }))`,
  ],
  ['the SDK', `await import('./client-sdk/index.ts')`],
])('%s opens no connection by being imported', { timeout: 180_000 }, async (_, code) => {
  expect(await connectionsOf(code)).toEqual([])
})

test('the watch sees a connection, so that none seen is none made', { timeout: 180_000 }, async () => {
  expect(await connectionsOf(`net.connect(1, '127.0.0.1').on('error', () => undefined)`)).not.toEqual([])
})
