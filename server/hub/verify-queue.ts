import { messageFrame } from '../../protocol/parse.ts'
import type { Step } from './feed.ts'
import type { Followed } from './followed.ts'
import { tooManyVerifies } from './session-errors.ts'

export interface VerifyRequest {
  readonly followed: Followed
  /** Of all who asked while it waited: each is answered. */
  readonly refs: readonly number[]
}

/** Who may wait for the count of one subscription. */
const mostRefs = 16

/**
 * What a session wants to have counted, in the order it asked. A count reads every row, so one count of a subscription
 * answers all who ask for it meanwhile.
 */
export class VerifyQueue {
  readonly #waiting: { readonly followed: Followed; readonly refs: number[] }[] = []

  /** Throws `rate_limited`. */
  add(followed: Followed, ref: number, most: number): void {
    const same = this.#waiting.find((one) => one.followed === followed)
    if (same ? same.refs.length >= mostRefs : this.#waiting.length >= most) throw tooManyVerifies()
    if (same) same.refs.push(ref)
    else this.#waiting.push({ followed, refs: [ref] })
  }

  get first(): VerifyRequest | undefined {
    return this.#waiting[0]
  }

  /** It is being answered: who asks from now on asks anew. */
  remove(request: VerifyRequest): void {
    const at = this.#waiting.findIndex((one) => one === request)
    if (at !== -1) this.#waiting.splice(at, 1)
  }
}

/** What a step has counted, for one who asked. */
export function verifiedFrame({ to, verified }: Step, ref: number): Uint8Array {
  const tables = (verified ?? []).map(({ table, ranges }) => ({ table, ranges: [...ranges] }))
  return messageFrame({ type: 'verified', ref, to, tables })
}
