/** Who is speaking, after authentication, in the one organization of the session. */
export interface Principal {
  readonly organizationId: string
  readonly kind: 'user' | 'agent'
  readonly id: string
}

/** Equal for the same principal, whatever its device. */
export function principalKey({ kind, organizationId, id }: Principal): string {
  return `${kind}/${organizationId}/${id}`
}

/** What is known of the token that somebody speaks with; the database may have come to know better. */
export interface TokenFacts {
  /** What it is limited to (`token-scopes.ts`); absent: nothing. */
  readonly scopes?: readonly string[]
  /** The `access_tokens` row of an access token. */
  readonly tokenId?: string
  /** The `auth_sessions` row of a JWT that came from a sign-in. */
  readonly sessionId?: string
}

/** A principal on a registered device: what a session and its writes are attributed to. */
export interface DevicePrincipal extends Principal, TokenFacts {
  readonly deviceId: string
  /** As the device was registered, whatever it says of itself now. Absent: not known, and not a mobile one. */
  readonly formFactor?: 'mobile' | 'desktop'
}
