import type { CancelTimer, Clock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import type { Down, DownOf } from '../../protocol/messages/down.ts'
import type { UpOf } from '../../protocol/messages/up.ts'
import type { Parsed } from '../../protocol/parse.ts'

type RequestType = 'authenticate' | 'verify' | 'search' | 'call'
type WithoutRef<T> = T extends unknown ? Omit<T, 'ref'> : never

/** A question to the server; its number is given here. */
export type Request = WithoutRef<UpOf<RequestType>>

interface AnswerTypes {
  readonly authenticate: 'authenticated'
  readonly verify: 'verified'
  readonly search: 'found'
  readonly call: 'called'
}
export type AnswerTo<R extends Request> = DownOf<AnswerTypes[R['type']]>

const answerTypes: AnswerTypes = { authenticate: 'authenticated', verify: 'verified', search: 'found', call: 'called' }

interface Waiting {
  readonly type: RequestType
  readonly settle: PromiseWithResolvers<Parsed<Down>>
  readonly cancel: CancelTimer
}

/**
 * Questions of one connection that wait for their answers. Each ends once: by its answer, an error, time, or the end of
 * the connection.
 */
export class Requests {
  readonly #clock: Clock
  readonly #timeoutMs: number
  readonly #waiting = new Map<number, Waiting>()
  #nextRef = 1

  constructor(clock: Clock, timeoutMs: number) {
    this.#clock = clock
    this.#timeoutMs = timeoutMs
  }

  ask(request: Request, send: (message: UpOf<RequestType>) => void): Promise<Parsed<Down>> {
    const ref = this.#nextRef++
    const settle = Promise.withResolvers<Parsed<Down>>()
    const cancel = this.#clock.after(this.#timeoutMs, () => {
      this.#take(ref)?.settle.reject(
        new TideError('timeout', `The server did not answer a ${request.type} within ${this.#timeoutMs} ms.`),
      )
    })
    this.#waiting.set(ref, { type: request.type, settle, cancel })
    send({ ...request, ref })
    return settle.promise
  }

  answer(ref: number, parsed: Parsed<Down>): void {
    const waiting = this.#take(ref)
    if (waiting === undefined) return
    if (parsed.message.type === answerTypes[waiting.type]) waiting.settle.resolve(parsed)
    else
      waiting.settle.reject(
        new TideError('bad_message', `The server answered a ${waiting.type} with "${parsed.message.type}".`),
      )
  }

  fail(ref: number, error: TideError): void {
    this.#take(ref)?.settle.reject(error)
  }

  failAll(error: TideError): void {
    for (const ref of [...this.#waiting.keys()]) this.fail(ref, error)
  }

  #take(ref: number): Waiting | undefined {
    const waiting = this.#waiting.get(ref)
    this.#waiting.delete(ref)
    waiting?.cancel()
    return waiting
  }
}
