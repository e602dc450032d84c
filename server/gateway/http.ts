import { readFileSync } from 'node:fs'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { errorText, type Health, type Log, type Trouble } from '../telemetry/telemetry.ts'
import { TideError } from '../../protocol/error.ts'
import type { RouteReply } from './sign-in-routes.ts'

/** What a browser sees: whether the server works, and what to type next. */
const statusPage = readFileSync(new URL('./status-page.html', import.meta.url), 'utf8')

/** Whether the server can do its work now, part by part. */
export interface Readiness extends Health {
  /** It is being stopped and sends its clients elsewhere. */
  readonly closing: boolean
  /**
   * Whether this server writes the change log or follows another one that does; null: the log is part of each commit.
   */
  readonly log: 'writer' | 'follower' | null
  /** Null without REDIS_URL. Not ok: everything works but presence across servers. */
  readonly redis: { readonly ok: boolean } | null
  /** What is wrong now, with code and remedy. */
  readonly troubles: readonly Trouble[]
  readonly connections: number
  /** The name of this server among others, as in `system_metrics`; another one at every start. */
  readonly node: string
  readonly version: string
  readonly embedded: boolean
}

export interface HttpDeps {
  readonly readiness: () => Promise<Readiness>
  /** What the database says of itself, measured now. */
  readonly systemHealth: () => Promise<unknown>
  readonly metrics: { readonly contentType: string; text(): Promise<string> }
  readonly log: Log
  /** Further routes; undefined: not one of them. */
  readonly routes: readonly ((request: IncomingMessage) => Promise<RouteReply | undefined>)[]
}

interface Reply {
  readonly status: number
  readonly type: string
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * Answers GET /health, /health/system, /ready, /metrics and /, and the further routes; all else on the port is the
 * WebSocket's.
 */
export function createHttpHandler(deps: HttpDeps): (request: IncomingMessage, response: ServerResponse) => void {
  return (request, response) => {
    if ((request.url ?? '').startsWith('/socket.io/')) return
    reply(request, deps)
      .catch((error: unknown): Reply => {
        deps.log.error('An HTTP request failed', { error: errorText(error) })
        return refusal(
          500,
          new TideError('internal', 'The request failed inside the server.', {
            remedy: 'Report it with the line of the log.',
          }),
        )
      })
      .then(
        ({ status, type, body, headers }) => {
          response.writeHead(status, {
            ...headers,
            'content-type': type,
            'cache-control': 'no-store',
            'x-content-type-options': 'nosniff',
            'referrer-policy': 'no-referrer',
            'content-security-policy':
              "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'",
          })
          response.end(request.method === 'HEAD' ? undefined : body)
        },
        () => response.destroy(),
      )
  }
}

async function reply(request: IncomingMessage, deps: HttpDeps): Promise<Reply> {
  for (const route of deps.routes) {
    const routed = await route(request)
    if (routed) return { ...json(routed.status, routed.body), headers: routed.headers ?? {} }
  }
  const [path = '/'] = (request.url ?? '/').split('?', 1)
  const answer = answers[path]
  if (!answer)
    return refusal(
      404,
      new TideError('not_found', `There is nothing at ${path.slice(0, 200)}.`, {
        remedy:
          'Ask for /, /health, /health/system, /ready or /metrics; the WebSocket is at /socket.io/. All routes are in docs/http.md.',
      }),
    )
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return {
      ...refusal(
        405,
        new TideError('bad_message', `${path} takes GET, and this is a ${request.method}.`, { remedy: 'Use GET.' }),
      ),
      headers: { allow: 'GET, HEAD' },
    }
  return answer(deps)
}

const answers: Readonly<Record<string, (deps: HttpDeps) => Reply | Promise<Reply>>> = {
  '/': () => ({ status: 200, type: 'text/html; charset=utf-8', body: statusPage }),
  '/health': () => json(200, { ok: true }),
  '/health/system': async ({ systemHealth }) => json(200, await systemHealth()),
  '/ready': async (deps) => {
    const readiness = await deps.readiness()
    return json(readiness.ready ? 200 : 503, readiness)
  },
  '/metrics': async ({ metrics }) => ({ status: 200, type: metrics.contentType, body: await metrics.text() }),
}

function refusal(status: number, error: TideError): Reply {
  return json(status, { error: error.toBody() })
}

function json(status: number, body: unknown): Reply {
  return { status, type: 'application/json; charset=utf-8', body: `${JSON.stringify(body)}\n` }
}
