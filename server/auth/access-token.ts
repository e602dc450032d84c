import { createHash } from 'node:crypto'
import type { Random } from '../../lib/random.ts'

/** A long-lived token that this system issues: `tw_<prefix>_<secret>`. Only its hash is stored. */
export interface FreshAccessToken {
  readonly token: string
  /** Names it in lists; says nothing about the secret. */
  readonly prefix: string
  readonly hash: Buffer
}

const alphabet = 'abcdefghjkmnpqrstuvwxyz23456789'

export function makeAccessToken(random: Random): FreshAccessToken {
  const prefix = [...random.bytes(8)].map((byte) => alphabet[byte % alphabet.length]).join('')
  const token = `tw_${prefix}_${Buffer.from(random.bytes(32)).toString('base64url')}`
  return { token, prefix, hash: hashAccessToken(token) }
}

export function isAccessToken(token: string): boolean {
  return token.startsWith('tw_')
}

/** SHA-256 suffices: the secret has 256 random bits, so it cannot be guessed however fast hashes are. */
export function hashAccessToken(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}
