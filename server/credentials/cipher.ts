import { createCipheriv, createDecipheriv, createHmac, hkdfSync } from 'node:crypto'
import type { Random } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'

export interface EncryptionKey {
  readonly id: string
  /** 32 bytes. */
  readonly key: Uint8Array
}

/** A secret as it is stored. */
export interface Sealed {
  /** Initialisation vector (12 bytes), tag (16 bytes), encrypted text. */
  readonly ciphertext: Buffer
  readonly keyId: string
}

/**
 * Encrypts what must be read again. AES-256-GCM (NIST SP 800-38D) with a random vector for each value; the place where
 * a value is stored is authenticated with it, so that a ciphertext moved to another row or column does not open.
 */
export interface Cipher {
  /** With the first key. Throws `encryption_unavailable` when there is none. `place` names row and column. */
  seal(text: string, place: string): Sealed
  /** Throws `secret_unreadable` when the key is gone, or the value is damaged or was put elsewhere. */
  open(sealed: Sealed, place: string): string
  /** Equal for equal secrets as long as the first key stays, and of no use without it. 32 bytes. */
  fingerprint(text: string): Buffer
  /** Whether a value is encrypted with the first key. */
  isCurrent(keyId: string): boolean
}

const algorithm = 'aes-256-gcm'
const vectorBytes = 12
const tagBytes = 16

/** `keys`: the first encrypts, all decrypt. */
export function createCipher(keys: readonly EncryptionKey[], random: Random): Cipher {
  const [first] = keys
  const byId = new Map(keys.map(({ id, key }) => [id, key]))
  const current = (): EncryptionKey => {
    if (first) return first
    throw new TideError('encryption_unavailable', 'A secret cannot be stored: ENCRYPTION_KEYS is not set.')
  }
  return {
    seal(text, place) {
      const { id, key } = current()
      const vector = random.bytes(vectorBytes)
      const cipher = createCipheriv(algorithm, key, vector).setAAD(Buffer.from(place))
      const data = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
      return { keyId: id, ciphertext: Buffer.concat([vector, cipher.getAuthTag(), data]) }
    },
    open({ ciphertext, keyId }, place) {
      const key = byId.get(keyId)
      if (!key)
        throw new TideError(
          'secret_unreadable',
          `The secret of ${place} is encrypted with key ${keyId}, which is not in ENCRYPTION_KEYS.`,
        )
      try {
        const decipher = createDecipheriv(algorithm, key, ciphertext.subarray(0, vectorBytes), {
          authTagLength: tagBytes,
        })
          .setAAD(Buffer.from(place))
          .setAuthTag(ciphertext.subarray(vectorBytes, vectorBytes + tagBytes))
        return decipher.update(ciphertext.subarray(vectorBytes + tagBytes), undefined, 'utf8') + decipher.final('utf8')
      } catch (cause) {
        throw new TideError(
          'secret_unreadable',
          `The secret of ${place} does not open: it is damaged, or was stored elsewhere.`,
          { cause },
        )
      }
    },
    fingerprint(text) {
      const key = hkdfSync('sha256', current().key, '', 'tidewire fingerprint', 32)
      return createHmac('sha256', Buffer.from(key)).update(text).digest()
    },
    isCurrent: (keyId) => keyId === first?.id,
  }
}
