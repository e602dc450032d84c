import { z } from 'zod'
import type { Clock } from '../../../lib/clock.ts'
import type { Random } from '../../../lib/random.ts'
import { parseJson, refusalText, withoutGiven } from './foreign-words.ts'

/** Makes vectors of texts. Another kind of service is another one of these. */
export interface EmbeddingProvider {
  readonly model: string
  /** One vector per text, in their order. Throws `EmbeddingError`. */
  embed(texts: readonly string[], signal: AbortSignal): Promise<readonly (readonly number[])[]>
}

/** `isOfText`: another text may do, the same one never will. Otherwise nothing can be embedded now. */
export class EmbeddingError extends Error {
  override readonly name = 'EmbeddingError'
  readonly isOfText: boolean

  constructor(message: string, isOfText = false) {
    super(message)
    this.isOfText = isOfText
  }
}

export interface HttpProviderOptions {
  /** The whole address, such as `https://api.openai.com/v1/embeddings`. */
  readonly url: string
  readonly key: string | undefined
  readonly model: string
  readonly dimension: number
  readonly clock: Clock
  readonly random: Random
  /** Of one request. Milliseconds. */
  readonly timeoutMs?: number
  /** Before the second try; doubled for each further one, and drawn from half of it to all. Milliseconds. */
  readonly retryMs?: number
}

const tries = 4
/** Bytes of a refusal that are read. */
const refusalBytes = 16 * 1024
/** Bytes of an answer that are read: for each number of a vector, and for what stands around them. */
const numberBytes = 64
const frameBytes = 64 * 1024
const maxRetryAfterMs = 60_000

const answerSchema = z.object({
  data: z.array(z.object({ index: z.number().int().min(0).optional(), embedding: z.array(z.number()) })),
})

/**
 * A service that speaks the embeddings call of OpenAI, as most do: POST {model, input: [texts]}, answered by
 * {data: [{index, embedding}]} (https://platform.openai.com/docs/api-reference/embeddings). Tried again when the
 * service is away, slow, busy (429) or failing (5xx).
 */
export function createHttpProvider(options: HttpProviderOptions): EmbeddingProvider {
  const { url, key, model, dimension, clock, random, timeoutMs = 30_000, retryMs = 500 } = options
  const { username, password, search } = new URL(url)
  const secrets = [key ?? '', username, password, search]

  async function ask(texts: readonly string[], signal: AbortSignal): Promise<Response> {
    const limit = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    return fetch(url, {
      method: 'POST',
      redirect: 'error',
      signal: limit,
      headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
      body: JSON.stringify({ model, input: texts }),
    })
  }

  async function tryOnce(texts: readonly string[], signal: AbortSignal): Promise<Vectors | Again> {
    try {
      const response = await ask(texts, signal)
      if (response.ok) {
        const body = await beginningOf(response, texts.length * dimension * numberBytes + frameBytes)
        return { vectors: vectorsOf(body, texts.length, dimension) }
      }
      const body = await beginningOf(response, refusalBytes)
      const said = `The embedding service answered ${refusalText(response.status, body, { texts, secrets })}`
      if (response.status === 429 || response.status === 408 || response.status >= 500)
        return { error: new EmbeddingError(said), afterMs: retryAfter(response.headers.get('retry-after')) }
      throw new EmbeddingError(said, [400, 413, 422].includes(response.status))
    } catch (error) {
      if (error instanceof EmbeddingError) throw error
      const reason = withoutGiven(reasonOf(error), { texts: [], secrets })
      return { error: new EmbeddingError(`The embedding service did not answer: ${reason}`) }
    }
  }

  return {
    model,
    async embed(texts, signal) {
      for (let attempt = 1; ; attempt++) {
        const result = await tryOnce(texts, signal)
        if ('vectors' in result) return result.vectors
        if (attempt === tries || signal.aborted) throw result.error
        const wait = retryMs * 2 ** (attempt - 1) * (0.5 + random.next() / 2)
        await pause(clock, Math.max(wait, result.afterMs ?? 0), signal)
      }
    },
  }
}

interface Vectors {
  readonly vectors: readonly (readonly number[])[]
}

interface Again {
  readonly error: EmbeddingError
  readonly afterMs?: number | undefined
}

/** The rest is not read. */
async function beginningOf(response: Response, maxBytes: number): Promise<string> {
  const parts: Uint8Array[] = []
  let bytes = 0
  for await (const part of response.body ?? []) {
    parts.push(part)
    bytes += part.byteLength
    if (bytes >= maxBytes) break
  }
  return Buffer.concat(parts).toString()
}

function vectorsOf(body: string, count: number, dimension: number): readonly (readonly number[])[] {
  const parsed = answerSchema.safeParse(parseJson(body))
  if (!parsed.success) throw new EmbeddingError('The embedding service answered with something else than embeddings.')
  const ordered = parsed.data.data.toSorted((a, b) => (a.index ?? 0) - (b.index ?? 0)).map(({ embedding }) => embedding)
  if (ordered.length !== count)
    throw new EmbeddingError(`The embedding service answered ${ordered.length} embeddings for ${count} texts.`)
  const wrong = ordered.find((embedding) => embedding.length !== dimension)
  if (wrong)
    throw new EmbeddingError(
      `The embedding service makes vectors of ${wrong.length} dimensions, and this database has columns of ${dimension}.`,
    )
  return ordered
}

/** In seconds; a date is left to the ordinary wait. */
function retryAfter(header: string | null): number | undefined {
  return header !== null && /^\d+$/.test(header) ? Math.min(Number(header) * 1000, maxRetryAfterMs) : undefined
}

function reasonOf(error: unknown): string {
  const { message, cause } = error instanceof Error ? error : { message: String(error), cause: undefined }
  return cause instanceof Error ? `${message} (${cause.message})` : message
}

function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const cancel = clock.after(ms, resolve)
    signal.addEventListener(
      'abort',
      () => {
        cancel()
        resolve()
      },
      { once: true },
    )
  })
}

/** The service that the settings name, as the rounds want it. */
export function embeddingService(
  settings: {
    readonly provider: string
    readonly url: string | undefined
    readonly key: string | undefined
    readonly model: string | undefined
    readonly dimension: number
  },
  seams: { readonly clock: Clock; readonly random: Random },
): { readonly name: string; readonly model: string | undefined; readonly provider: EmbeddingProvider | undefined } {
  const { provider: name, url, key, model, dimension } = settings
  if (name === 'none' || url === undefined || model === undefined)
    return { name: 'none', model: undefined, provider: undefined }
  return { name, model, provider: createHttpProvider({ url, key, model, dimension, ...seams }) }
}
