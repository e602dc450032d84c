import type { PoolClient } from 'pg'
import { z } from 'zod'
import { TideError } from '../../protocol/error.ts'
import type { Json } from '../../protocol/rows/row.ts'
import { findUnstorable, storableText } from '../../protocol/rows/storable-json.ts'
import type { Random } from '../../lib/random.ts'
import type { Access } from '../scope/access.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { SqlQuery } from '../scope/sql-query.ts'

export type JsonRow = Readonly<Record<string, Json>>

/** Names a secret of a third party that the caller's organization has stored. */
export interface CredentialRequest {
  /** `openrouter`, `github`, … */
  readonly provider: string
  /** `api_key` when absent. */
  readonly kind?: 'api_key' | 'oauth_token' | 'bot_token'
  /** `default` when absent. */
  readonly label?: string
  /** The caller's own, and not the organization's. */
  readonly own?: boolean
}

/** Reads a secret in the given transaction. */
export type ReadCredential = (
  query: Pick<PoolClient, 'query'>,
  name: Required<Omit<CredentialRequest, 'own'>> & { readonly organizationId: string; readonly userId: string | null },
) => Promise<{ readonly secret: string; readonly expiresAt?: Date | undefined }>

/** What an action has to work with: one transaction, in the name of the caller, committed when it returns. */
export interface ActionContext {
  readonly principal: DevicePrincipal
  /** Names of all actions of this server. */
  readonly actions: readonly string[]
  /** What the caller may follow, as of this transaction. */
  readonly access: Access
  /**
   * A statement of the transaction. Write parameterised SQL; what it changes reaches all replicas like any other write.
   */
  readonly query: SqlQuery
  readonly random: Random
  /** Rows of a synced table as clients know them: camelCase, canonical values, without embeddings. */
  rows(table: string, ids: readonly string[]): Promise<readonly JsonRow[]>
  /**
   * A secret of a third party, for the action to ask that party with; never part of an answer. Throws `not_found`,
   * `credential_expired`, `spend_limit_reached`, `secret_unreadable`, `encryption_unavailable`.
   */
  credential(request: CredentialRequest): Promise<{ readonly secret: string; readonly expiresAt?: Date | undefined }>
}

/**
 * A named server function for what rows cannot say: an invariant over many of them, decided at one place. `run` may be
 * run again after a deadlock, so it keeps nothing outside of the transaction. To refuse, throw a `TideError`.
 */
export interface Action<Input> {
  /** `<table or subject>.<verb>`. */
  readonly name: string
  /**
   * Checked before `run`; unknown fields are refused, and so is text that PostgreSQL cannot store: a schema that wants
   * to take it transforms it.
   */
  readonly input: z.ZodType<Input>
  /** Doing it again does no harm, so its answers are not kept: for what is asked often. */
  readonly repeatable?: boolean
  /**
   * It changes nothing, which its transaction enforces; so it is `repeatable`, takes no `credential`, and is open to
   * access tokens that only read.
   */
  readonly readOnly?: boolean
  /** Fields of the answer that are told once and not kept: a repeat is answered with null in their place. */
  readonly withheld?: readonly string[]
  readonly run: (context: ActionContext, input: Input) => Promise<Json>
}

/** An action as the server calls it. */
export interface AnyAction {
  readonly name: string
  readonly repeatable: boolean
  readonly readOnly: boolean
  readonly withheld: readonly string[]
  /** Checks the input and returns what is to be run with it. Throws `bad_message` that names the field. */
  prepare(input: Json): (context: ActionContext) => Promise<Json>
}

/** An action whose name and input are known to the compiler. */
export interface NamedAction<Name extends string, Given> extends AnyAction {
  readonly name: Name
  readonly input: z.ZodType<unknown, Given>
}

/** Declares an action; `run` gets the type of the schema. */
export function defineAction<const Name extends string, Input, Given>({
  name,
  input,
  readOnly = false,
  repeatable = readOnly,
  withheld = [],
  run,
}: Action<Input> & { readonly name: Name; readonly input: z.ZodType<Input, Given> }): NamedAction<Name, Given> {
  return {
    name,
    input,
    repeatable,
    readOnly,
    withheld,
    prepare(given) {
      const checked = input.safeParse(given)
      if (!checked.success)
        throw new TideError('bad_message', `The input of ${name}: ${z.prettifyError(checked.error)}`)
      const unstorable = findUnstorable(checked.data)
      if (unstorable)
        throw new TideError(
          'bad_message',
          `The input of ${name}: the text at ${storableText(unstorable.join('.'))} has U+0000 or half of a surrogate pair, which PostgreSQL cannot store.`,
        )
      return (context) => run(context, checked.data)
    },
  }
}
