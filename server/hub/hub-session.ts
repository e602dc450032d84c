import type { TideError } from '../../protocol/error.ts'
import type { Subscription } from '../../protocol/messages/subscription.ts'
import type { Cursor, Seq } from '../../protocol/seq.ts'
import type { Access } from '../scope/access.ts'
import type { DevicePrincipal } from '../scope/principal.ts'

export interface SessionOptions {
  readonly principal: DevicePrincipal
  /** Where the replica stands, from its `hello`. */
  readonly cursor: Cursor | null
  /**
   * Sends a frame, in order. Must not throw and must not block. `windowed`: it is part of a batch, which the window
   * of the session bounds; other frames are not bounded here. Frames may be shared between sessions: never written to.
   */
  readonly send: (frame: Uint8Array, windowed?: boolean) => void
  /**
   * Resolves when the client has read enough for another big answer; rejects when it is gone. Undefined, or absent: it
   * may be given at once.
   */
  readonly room?: () => Promise<void> | undefined
  /**
   * The session is over: access was lost (`device_revoked`, `token_invalid`), the replica is too far behind
   * (`cursor_too_old`: its next hello is answered with `resume: false`), its reads take too long (`timeout`) or a bug
   * (`internal`). Send it as a fatal error and close.
   */
  readonly ended: (error: TideError) => void
  /** Its access was evaluated again, and may be less than before. */
  readonly accessChanged?: () => void
  /**
   * Tokens of this principal were changed or revoked: look again at the one this session goes by, and end it where that
   * is no good any more. Must not reject. Until it resolves, the session is sent no rows.
   */
  readonly credentialsChanged?: () => Promise<void>
}

/** Where a session begins. */
export interface Beginning {
  readonly epoch: string
  readonly resume: boolean
  readonly seq: Seq
}

/**
 * One connected replica. The hub itself sends `subscribed`, `page`, `batch`, `frontier` and `verified` frames; requests
 * that cannot be answered reject or throw a `TideError`, which the caller sends as an `error` message.
 */
export interface HubSession {
  /** For `welcome`: whether the cursor can be continued. If not, `subscribe` with `held` is refused. */
  readonly resume: boolean
  readonly epoch: string
  /** As last evaluated. For presence and search; batches are checked by the hub itself. */
  readonly access: Access
  /** Nothing that was sent to it is still to be acknowledged. */
  readonly caughtUp: boolean
  /** True while a subscription of this session follows the channel. */
  follows(channel: string): boolean
  subscribe(subscriptions: readonly (Subscription & { readonly held: boolean })[]): Promise<void>
  unsubscribe(id: string): void
  page(subscription: string, after: string | null): Promise<void>
  /** Answered by the batch that names it, or by an `error`. */
  activate(subscription: string, from: number): void
  ack(seq: number): void
  /**
   * Resolves when asked for; the answer follows the batch that brings the session to the position it was counted at.
   */
  verify(subscription: string, ref: number): Promise<void>
  /** Has its token looked at, as when credentials of its principal change. */
  credentialsChanged(): void
  close(): void
}
