import { randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openStream, pieceBytes, sealStream, type StreamKey } from '../../server/backup/sealed-stream.ts'

const streamKey: StreamKey = { key: randomBytes(32), salt: randomBytes(32), context: Buffer.from('context') }

async function* inChunks(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

async function all(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(part)
  return Buffer.concat(parts)
}

const seal = (plain: Uint8Array, chunk: number, key = streamKey) => all(sealStream(inChunks(plain, chunk), key))
const open = (sealed: Uint8Array, chunk: number, key = streamKey) => all(openStream(inChunks(sealed, chunk), key))

/** Lengths around the borders of pieces among them. */
const length = fc.oneof(
  fc.integer({ min: 0, max: 2000 }),
  fc.constantFrom(pieceBytes - 1, pieceBytes, pieceBytes + 1, 2 * pieceBytes, 2 * pieceBytes + 7),
)
const chunk = fc.integer({ min: 997, max: 3 * pieceBytes })

test('what was sealed opens, however it is cut on the way', async () => {
  await fc.assert(
    fc.asyncProperty(length, chunk, chunk, async (bytes, one, other) => {
      const plain = randomBytes(bytes)
      expect((await open(await seal(plain, one), other)).equals(plain)).toBe(true)
    }),
    { numRuns: 40 },
  )
})

test('nothing opens that was changed, cut off, put in another order, or sealed with another key or for another place', async () => {
  const plain = randomBytes(2 * pieceBytes + 100)
  const sealed = await seal(plain, 5000)
  const piece = 4 + pieceBytes + 16
  const unreadable = { code: 'backup_unreadable' }
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 0, max: sealed.length - 1 }), async (at) => {
      const changed = Buffer.from(sealed)
      changed[at] = (changed[at] ?? 0) ^ 1
      await expect(open(changed, 70_000)).rejects.toMatchObject(unreadable)
      await expect(open(sealed.subarray(0, at), 70_000)).rejects.toMatchObject(unreadable)
    }),
    { numRuns: 30 },
  )
  // Whole pieces gone, exchanged, or added.
  const [first, second, rest] = [
    sealed.subarray(0, piece),
    sealed.subarray(piece, 2 * piece),
    sealed.subarray(2 * piece),
  ]
  for (const parts of [
    [first, second],
    [second, first, rest],
    [first, rest],
    [first, second, rest, rest],
  ])
    await expect(open(Buffer.concat(parts), 9999)).rejects.toMatchObject(unreadable)
  for (const other of [{ key: randomBytes(32) }, { salt: randomBytes(32) }, { context: Buffer.from('other') }])
    await expect(open(sealed, 9999, { ...streamKey, ...other })).rejects.toMatchObject(unreadable)
})
