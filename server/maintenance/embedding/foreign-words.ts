import { z } from 'zod'

/** What a service was given, none of which may stand in a log or a record. */
export interface Given {
  readonly texts: readonly string[]
  /** Keys, and whatever else only the service may know. */
  readonly secrets: readonly string[]
}

/** Characters that are kept of what a service says. */
const kept = 300
const code = z.string().regex(/^[\w.-]{1,64}$/)
const saying = z.object({
  message: z.string().optional().catch(undefined),
  code: code.optional().catch(undefined),
  type: code.optional().catch(undefined),
})
/** As OpenAI and most others say it: `{error: {message, code, type}}`, or the same without `error`. */
const refusal = z.union([z.object({ error: saying }).transform(({ error }) => error), saying])

/** Why a service refused: its status, its code and what remains of its words. `body`: the beginning of its answer. */
export function refusalText(status: number, body: string, given: Given): string {
  const { code: named, type, message } = refusal.safeParse(parseJson(body)).data ?? {}
  const reason = [named ?? type].filter((word) => word !== undefined && !isGiven(word, given.secrets))
  const words = withoutGiven(message ?? body, given)
  return `${status}${reason.map((word) => ` (${word})`).join('')}${words && `: ${words}`}`
}

/**
 * The words of a service without those that it was given: each that is part of a text or of a secret is left out, and
 * all that is not ASCII. An error may quote what was sent, and nobody knows how. One line of at most 300 characters.
 */
export function withoutGiven(said: string, { texts, secrets }: Given): string {
  const given = [...texts, ...secrets]
  return said
    .slice(0, 4 * kept)
    .replaceAll(/[a-z0-9]*(?:[^ -~\s][a-z0-9]*)+|[a-z0-9]{3,}|\d+/gi, (word) =>
      !/^[!-~]+$/.test(word) || isGiven(word, given) ? '…' : word,
    )
    .replaceAll(/…(\W*…)+/g, '…')
    .replaceAll(/\s+/g, ' ')
    .trim()
    .slice(0, kept)
}

function isGiven(word: string, given: readonly string[]): boolean {
  const sought = word.toLowerCase()
  return given.some((text) => text.toLowerCase().includes(sought))
}

/** Undefined: it is no JSON. The error of `JSON.parse` would quote it. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
