import type { CancelTimer, Clock } from '../../lib/clock.ts'
import type { TideError } from '../../protocol/error.ts'
import type { ErrorCode } from '../../protocol/error-codes.ts'

/** As far as it is needed here: a `Log` will do. */
interface Lines {
  error(message: string, details: Readonly<Record<string, unknown>>): void
  info(message: string, details: Readonly<Record<string, unknown>>): void
}

/** What a part says when it is in trouble, and when it is well again. */
const words = {
  capture: ['Changes cannot be captured; trying again', 'Changes are captured again'],
  feed: ['The change log could not be read; trying again', 'The change log is read again'],
  requests: ['Requests fail because of the database', 'Requests are served again'],
  schema: ['The database is not as this server was made for', 'The database is as this server was made for again'],
} as const

export type Part = keyof typeof words

/** What keeps a part of the server from its work, as `/ready` tells it. */
export interface Trouble {
  readonly part: Part
  readonly code: ErrorCode
  readonly message: string
  readonly remedy: string
  /** Milliseconds since 1970. */
  readonly since: number
}

/** Where clients miss changes, unlike in a trouble with requests. */
const feeding: ReadonlySet<Part> = new Set<Part>(['capture', 'feed', 'schema'])
/**
 * Nobody says that requests work again: they count as well when none failed for so long. Clients try again every 3 s.
 */
const requestsCalmMs = 8000

/**
 * What is wrong with the server now, by part. Parts report what they meet, as often as they like: only a change is
 * logged and told. One line when it begins, with code and remedy, one when it is over.
 */
export class Troubles {
  readonly #clock: Clock
  readonly #log: Lines
  readonly #current = new Map<Part, Trouble>()
  /** By monotonic time, so that a clock that jumps does not lengthen a trouble. */
  readonly #began = new Map<Part, number>()
  #onChange: () => void = () => undefined
  #cancelCalm: CancelTimer = () => undefined

  constructor(clock: Clock, log: Lines) {
    this.#clock = clock
    this.#log = log
  }

  get all(): readonly Trouble[] {
    return [...this.#current.values()]
  }

  /** The first one for which clients may miss changes. */
  get feeding(): Trouble | undefined {
    return this.all.find(({ part }) => feeding.has(part))
  }

  onChange(listener: () => void): void {
    this.#onChange = listener
  }

  /** Undefined: the part is well. */
  report(part: Part, error: TideError | undefined): void {
    if (part === 'requests' && error) {
      this.#cancelCalm()
      this.#cancelCalm = this.#clock.after(requestsCalmMs, () => this.report('requests', undefined))
    }
    const known = this.#current.get(part)
    // Here the words say what is wrong, and are the same for as long as it is the same.
    const worded = part === 'schema' || error?.code === 'capture_unavailable'
    if (known?.code === error?.code && (!worded || known?.message === error?.message)) return
    if (error) this.#begin(part, error)
    else this.#end(part)
    this.#onChange()
    // It answers one, so it answers all; whether there is room to write, a read cannot tell.
    const others = part === 'feed' && !error ? this.#current.get('requests') : undefined
    if (others?.code === 'database_unreachable') this.report('requests', undefined)
  }

  #begin(part: Part, { code, message, remedy }: TideError): void {
    if (!this.#began.has(part)) this.#began.set(part, this.#clock.monotonic())
    const since = this.#current.get(part)?.since ?? this.#clock.now()
    this.#current.set(part, { part, code, message, remedy, since })
    this.#log.error(words[part][0], { part, code, error: message, remedy })
  }

  #end(part: Part): void {
    const now = this.#clock.monotonic()
    this.#log.info(words[part][1], { part, seconds: Math.round((now - (this.#began.get(part) ?? now)) / 1000) })
    this.#current.delete(part)
    this.#began.delete(part)
  }
}
