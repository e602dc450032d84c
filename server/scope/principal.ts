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

/** A principal on a registered device: what a session and its writes are attributed to. */
export interface DevicePrincipal extends Principal {
  readonly deviceId: string
  /** As the device was registered, whatever it says of itself now. Absent: not known, and not a mobile one. */
  readonly formFactor?: 'mobile' | 'desktop'
  /** Of the token that it speaks with (`token-scopes.ts`); absent: they limit nothing. */
  readonly scopes?: readonly string[]
}
