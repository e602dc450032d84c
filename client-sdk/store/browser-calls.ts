import { TideError, type ErrorBody } from '../../protocol/error.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import type { ReplicaStore } from './store.ts'

/** What a page asks of the worker that keeps its replica: to open it, once and first, then any method of the store. */
export interface StoreMethods extends Required<ReplicaStore> {
  open(name: string, schema: Schema): Promise<void>
}

export interface StoreCall {
  readonly id: number
  readonly method: keyof StoreMethods
  readonly args: readonly unknown[]
}

/** Calls are answered in any order. */
export type StoreAnswer =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly refusal: ErrorBody }
  | { readonly id: number; readonly failure: string }

/** Errors do not cross between threads as they are. */
export function answerOf(id: number, error: unknown): StoreAnswer {
  return error instanceof TideError ? { id, refusal: error.toBody() } : { id, failure: String(error) }
}

export function errorOf(answer: Exclude<StoreAnswer, { readonly result: unknown }>): TideError {
  return 'refusal' in answer ? TideError.fromBody(answer.refusal) : new TideError('internal', answer.failure)
}
