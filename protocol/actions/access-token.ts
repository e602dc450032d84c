/** An access token of `tokens.list`. Times are ISO 8601 in UTC. */
export interface ListedToken {
  readonly tokenId: string
  /** Whose it is: one of the two. */
  readonly userId: string | null
  readonly agentId: string | null
  readonly name: string
  /** How the token begins, after `tw_`. */
  readonly prefix: string
  readonly scopes: readonly string[]
  readonly expiresAt: string | null
  readonly lastUsedAt: string | null
  readonly createdAt: string
}
