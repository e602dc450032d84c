import { describe, expect, test } from 'vitest'
import { seededRandom, systemRandom } from '../../lib/random.ts'
import { createCipher, type EncryptionKey } from '../../server/credentials/credentials.ts'

const key = (id: string, seed: number): EncryptionKey => ({ id, key: seededRandom(seed).bytes(32) })
const [old, fresh] = [key('old', 1), key('new', 2)]
const before = createCipher([old], systemRandom)
const after = createCipher([fresh, old], systemRandom)

describe('a sealed secret', () => {
  test('opens where it was put', () => {
    expect(before.open(before.seal('hunter2 ✓', 'a/1'), 'a/1')).toBe('hunter2 ✓')
  })

  test('is never twice the same, and does not show its text', () => {
    const [a, b] = [before.seal('hunter2', 'a/1'), before.seal('hunter2', 'a/1')]
    expect(a.ciphertext.equals(b.ciphertext)).toBe(false)
    expect(a.ciphertext.includes('hunter2')).toBe(false)
  })

  test('does not open elsewhere', () => {
    expect(() => before.open(before.seal('hunter2', 'a/1'), 'a/2')).toThrow(/does not open/)
  })

  test.each(['vector', 'tag', 'text'].map((part, index) => [part, [0, 12, 28][index] ?? 0] as const))(
    'does not open with a changed %s',
    (_, at) => {
      const { keyId, ciphertext } = before.seal('hunter2', 'a/1')
      ciphertext[at] = (ciphertext[at] ?? 0) ^ 1
      expect(() => before.open({ keyId, ciphertext }, 'a/1')).toThrow(/does not open/)
    },
  )

  test('opens with an older key as long as that is known', () => {
    const sealed = before.seal('hunter2', 'a/1')
    expect(after.open(sealed, 'a/1')).toBe('hunter2')
    expect(after.isCurrent(sealed.keyId)).toBe(false)
    expect(() => createCipher([fresh], systemRandom).open(sealed, 'a/1')).toThrow(/key old, which is not in/)
  })

  test('cannot be made without a key', () => {
    expect(() => createCipher([], systemRandom).seal('x', 'a/1')).toThrow(/ENCRYPTION_KEYS/)
  })
})

test('fingerprints tell equal secrets apart from others, and say nothing without the key', () => {
  expect(before.fingerprint('a')).toEqual(before.fingerprint('a'))
  expect(before.fingerprint('a')).not.toEqual(before.fingerprint('b'))
  expect(before.fingerprint('a')).not.toEqual(after.fingerprint('a'))
})
