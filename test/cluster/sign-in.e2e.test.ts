// Somebody who has signed in, and whose server is stopped while it answers a refresh: they go on with another server,
// signed in.
import { once } from 'node:events'
import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import { connect } from '@tidewire/client'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createAuth, createSignIn, openSigningKey } from '../../server/auth/auth.ts'
import { isCurrent, untilStatus } from '../failure/stage.ts'
import type { ServerProcess } from '../support/server-process.ts'
import { canRun, readiness, seesTask, startCluster, until, type Cluster } from './cluster.ts'

const [email, password] = ['ben@example.com', 'correct horse battery staple']

interface Answer {
  readonly status: number
  readonly token: string
  readonly refreshToken: string
}

/** A request for new tokens that a server has, all of it or all but its body; nobody reads the answer yet. */
class InFlight {
  readonly #request: ClientRequest
  readonly #rest: string
  readonly #response: Promise<unknown[]>

  private constructor(sent: ClientRequest, rest: string) {
    this.#request = sent
    this.#rest = rest
    this.#response = once(sent, 'response')
    this.#response.catch(() => undefined)
    sent.on('error', () => undefined)
  }

  static async send(url: string, refreshToken: string, whole: boolean): Promise<InFlight> {
    const body = JSON.stringify({ refreshToken })
    const headers = { 'content-type': 'application/json', 'content-length': body.length, expect: '100-continue' }
    const sent = request(`${url}/auth/refresh`, { method: 'POST', agent: false, headers })
    // The server says so when it has begun to read.
    await once(sent, 'continue')
    if (whole) sent.write(body)
    return new InFlight(sent, whole ? '' : body)
  }

  lose(): void {
    this.#request.destroy()
  }

  /** Sends what is missing, and reads. */
  async finish(): Promise<Answer> {
    this.#request.end(this.#rest)
    const [response] = (await this.#response) as [IncomingMessage]
    return { ...((await json(response)) as Answer), status: response.statusCode ?? 0 }
  }
}

async function post(url: string, body: object): Promise<Answer> {
  const headers = { 'content-type': 'application/json' }
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  return { ...((await response.json()) as Answer), status: response.status }
}

describe.skipIf(!canRun)('a refresh that is in flight while its server is stopped', () => {
  let cluster: Cluster

  beforeAll(async () => {
    cluster = await startCluster({ servers: 2, capture: 'wal' })
    const [{ rows }, secret] = [
      await cluster.pool.query<{ id: string }>('select id from users where email = $1', [email]),
      cluster.servers[0]?.env['AUTH_SECRET'] ?? '',
    ]
    const parts = { pool: cluster.pool, clock: systemClock, random: systemRandom }
    const auth = createAuth({ ...parts, key: await openSigningKey({ kind: 'secret', secret }, systemRandom) })
    await createSignIn({ ...parts, auth }).setPassword(rows[0]?.id ?? '', password)
  }, 240_000)
  afterAll(() => cluster?.close(), 120_000)

  /** Resolves when one of the sessions has gone on to its next token. */
  const rotated = (): Promise<unknown> =>
    until(async () => {
      const { rowCount } = await cluster.pool.query('select from auth_sessions where rotated_at is not null')
      return rowCount || undefined
    })

  /** Resolves when a server that is being stopped takes no more requests; those that it has it goes on with. */
  const closes = ({ url }: ServerProcess): Promise<unknown> =>
    until(async () =>
      fetch(`${url}/health`, { headers: { connection: 'close' } }).then(
        () => undefined,
        () => true,
      ),
    )

  test.for([
    ['its answer is lost with the server', true],
    ['the server has not begun with it', false],
  ] as const)('%s: the client goes on with the other one, signed in', { timeout: 120_000 }, async ([, isLost]) => {
    const [stopped, other] = cluster.servers as readonly [ServerProcess, ServerProcess]
    await cluster.pool.query('delete from auth_sessions')
    const first = await post(`${stopped.url}/auth/sign-in`, { email, password })
    let { refreshToken } = first
    let inFlight: InFlight | undefined
    const answered: string[] = []
    const refused = Promise.withResolvers<never>()
    refused.promise.catch(() => undefined)
    const refresh = async (): Promise<Answer> => {
      // The application keeps the newest answer; one that was lost it asks for again, wherever it is sent.
      const taken = inFlight
      inFlight = undefined
      if (taken && isLost) taken.lose()
      if (!taken || isLost) return post(`${cluster.url}/auth/refresh`, { refreshToken })
      await closes(stopped)
      return taken.finish()
    }
    const token = async (): Promise<string> => {
      const how = inFlight && !isLost ? 'in flight' : 'anew'
      try {
        const answer = await refresh()
        expect(answer.status).toBe(200)
        answered.push(how)
        refreshToken = answer.refreshToken
        return answer.token
      } catch (error) {
        refused.reject(error)
        throw error
      }
    }
    cluster.takeOut(other)
    const tokens = [first.token]
    const client = await connect({
      url: cluster.url,
      token: async () => tokens.pop() ?? (await token()),
      replica: { kind: 'memory' },
      device: { name: 'ben', kind: 'agent_runtime' },
    })
    const channel = await client.subscribe({ project: cluster.projectId }, { tables: ['tasks'] })
    await channel.ready
    const states: string[] = []
    channel.onState((state) => states.push(state))

    inFlight = await InFlight.send(stopped.url, refreshToken, isLost)
    if (isLost) await rotated()
    cluster.bringBack(other)
    await cluster.restart(stopped)
    await Promise.race([untilStatus(client, isCurrent), refused.promise])
    const task = await client.tasks.insert({ projectId: cluster.projectId, title: 'signed in' })
    await seesTask(client, task.id)
    expect(answered).toContain(isLost ? 'anew' : 'in flight')
    expect(states).not.toContain('bootstrapping')
    expect(await post(`${other.url}/auth/refresh`, { refreshToken })).toMatchObject({ status: 200 })
    const { rows } = await cluster.pool.query('select revoked_at from auth_sessions')
    expect(rows).toEqual([{ revoked_at: null }])
    await client.close()
    await until(async () => (await readiness(stopped))?.ready || undefined)
  })
})
