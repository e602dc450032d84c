// What a server says of its health while something happens to it, and how much of that the story has made true.
import { onTestFailed } from 'vitest'
import type { Trouble } from '../../server/telemetry/telemetry.ts'
import type { HealthCheck } from '../../server/telemetry/health.ts'
import type { LogLine, ServerProcess } from '../support/server-process.ts'

export interface Readiness {
  readonly status: number
  readonly body: {
    readonly ready?: boolean
    readonly checks?: readonly Pick<HealthCheck, 'name' | 'ok' | 'value' | 'limit' | 'detail'>[]
    readonly troubles?: readonly Pick<Trouble, 'part' | 'code' | 'message' | 'remedy'>[]
  }
}

/** A code of a trouble or the name of a part that is not well, and what was said of it. */
export interface Complaint {
  readonly word: string
  readonly why: string
}

/** A word, and for which reason it is said. */
interface Reason {
  readonly word: string
  readonly why: RegExp
}

/**
 * What a story makes true for a moment that may fall between two answers, and what health may say of it meanwhile. The
 * same word for another reason is no part of it.
 */
const causes = {
  /** Nobody reads it until then, and who waits for the log may wait in vain. */
  'the slot is taken anew': [
    { word: 'slot', why: /(, and no server reads it$)|( does not exist: )/ },
    { word: 'timeout', why: /^feed: The change log is behind: / },
  ],
  'the slot keeps more than it may': [
    { word: 'slot', why: /( of WAL(, since .* has not ended)?$)|( is (lost|unreserved): )/ },
  ],
  'another epoch begins': [{ word: 'timeout', why: /^feed: The epoch changed while / }],
  /** A server that looks just then says so. */
  'a publication is mended': [
    { word: 'capture_unavailable', why: /^capture: Changes may be missed: not published as / },
  ],
  'Postgres does not answer the writer of the log': [
    { word: 'timeout', why: /^capture: Postgres has not answered the writer / },
  ],
  'requests wait for a connection': [{ word: 'pool', why: /^wait for a database connection/ }],
} as const satisfies Readonly<Record<string, readonly Reason[]>>
export type Cause = keyof typeof causes

/** What a server said of itself while something happened to it. */
export interface HealthRecord {
  /**
   * Every answer that differs from the one before it: its status, then the codes of its troubles and the names of parts
   * that are not well.
   */
  readonly said: readonly string[]
  /** Waits for an answer with this word in it, from the beginning of the record. */
  until(word: string): Promise<void>
  /**
   * Waits until all is well, then ends. Answers every word that was said of troubles and parts that were not well, each
   * once, but for those of which nothing was said but what comes of these causes; a 503 only where it came without any.
   * Where the test fails it tells what was said in full.
   */
  end(...made: readonly Cause[]): Promise<readonly string[]>
}

/** What a database that does not answer in time leaves unknown, so that it says nothing of these parts. */
const unknowable: ReadonlySet<string> = new Set(['capture', 'retention'])
/** How late the database answers is a matter of the machine; where it is really gone there is a trouble with a code. */
const late = 'database'
/**
 * So is that it has left the reader of the slot without an answer for so long that this one opened the stream anew: the
 * log says so.
 */
const stalling: readonly Cause[] = ['the slot is taken anew', 'Postgres does not answer the writer of the log']
const isStall = ({ msg, error }: LogLine): boolean =>
  msg === 'The stream of changes ended; opening it again' && /has not answered|is cut off/.test(String(error))

/**
 * Each question has a connection of its own. One that is kept the server closes after some silence, and a question that
 * is sent at that moment fails, though nobody was unwell.
 */
export const ownConnection = { headers: { connection: 'close' } } as const

/** Asks /ready once; status 0 when nothing answers. */
export async function askReady(url: string): Promise<Readiness> {
  try {
    const answer = await fetch(`${url}/ready`, { ...ownConnection, signal: AbortSignal.timeout(10_000) })
    return { status: answer.status, body: (await answer.json()) as Readiness['body'] }
  } catch {
    return { status: 0, body: {} }
  }
}

export function complaintsOf({ body: { checks = [], troubles = [] } }: Readiness): readonly Complaint[] {
  const unwell = checks.filter(({ ok, name, value }) => !ok && !(value === null && unknowable.has(name)))
  return [
    ...troubles.map(({ code, part, message }) => ({ word: code, why: `${part}: ${message}` })),
    ...unwell.map(({ name, detail }) => ({ word: name, why: detail })),
  ]
}

/** The words of those complaints that do not come of these causes. */
export function unexplained(complaints: readonly Complaint[], made: readonly Cause[]): readonly string[] {
  const known = made.flatMap((cause): readonly Reason[] => causes[cause])
  const others = complaints.filter(({ word, why }) => !known.some((one) => one.word === word && one.why.test(why)))
  return [...new Set(others.map(({ word }) => word))].toSorted()
}

function tellWhy(complaints: readonly Complaint[], lines: readonly LogLine[]): void {
  const errors = lines.filter(({ level }) => level === 50).map((line) => JSON.stringify(line).slice(0, 500))
  const words = complaints.map(({ word, why }) => `${word}: ${why}`)
  process.stderr.write(`What health said: ${[...words, ...errors].join('\n  ')}\n`)
}

/** Asks /ready again and again from now on, and remembers what it says. */
export function recordHealth({ url, log }: Pick<ServerProcess, 'url' | 'log'>): HealthRecord {
  const since = log.length
  const said: string[] = []
  /** By word and reason. */
  const heard = new Map<string, Complaint>()
  let [stopped, answers] = [false, 0]
  const listeners = new Set<() => void>()
  const run = async (): Promise<void> => {
    while (!stopped) {
      const readiness = await askReady(url)
      const complaints = complaintsOf(readiness)
      // An answer that says no reason is its own.
      const { status } = readiness
      const all = complaints.length > 0 || status === 200 ? complaints : [{ word: String(status), why: '' }]
      for (const one of all) heard.set(`${one.word} ${one.why}`, one)
      const words = [String(status), ...complaints.map(({ word }) => word)].join(' ')
      if (said.at(-1) !== words) said.push(words)
      answers++
      for (const look of listeners) look()
      await new Promise((resolve) => setTimeout(resolve, 30))
    }
  }
  const running = run()
  const when = async (fits: () => boolean): Promise<void> => {
    const { promise, resolve } = Promise.withResolvers<void>()
    const look = (): void => {
      if (fits()) resolve()
    }
    listeners.add(look)
    look()
    await promise.finally(() => listeners.delete(look))
  }
  return {
    said,
    until: (word) => when(() => said.some((words) => words.split(' ').includes(word))),
    async end(...made) {
      const before = answers
      await when(() => answers > before + 1 && said.at(-1) === '200')
      stopped = true
      await running
      const lines = log.slice(since)
      const complaints = [...heard.values()]
      onTestFailed(() => tellWhy(complaints, lines))
      const ofTheMachine = lines.some(isStall) ? stalling : []
      return unexplained(
        complaints.filter(({ word }) => word !== late),
        [...made, ...ofTheMachine],
      )
    },
  }
}
