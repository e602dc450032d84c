import type { Json } from '../protocol/rows/row.ts'
import type { Actions } from './actions.ts'

/** `tasks` of `tasks.claim`: names that begin so are declared in `Actions`, so that a misspelt one is found. */
type Declared = keyof Actions extends infer Name ? (Name extends `${infer Group}.${string}` ? Group : never) : never

/**
 * Calls a named server action. Needs a connection; rejects with what the action throws, `offline` or `timeout`. Actions
 * of an application that are not declared in `Actions` take and answer any JSON.
 */
export interface CallAction {
  <Name extends keyof Actions>(action: Name, input: Actions[Name]['input']): Promise<Actions[Name]['answer']>
  <Name extends string>(
    action: Name extends keyof Actions | `${Declared}.${string}` ? never : Name,
    input: Json,
  ): Promise<Json>
}
