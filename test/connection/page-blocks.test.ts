import { deflateRawSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { pageBlocks } from '../../client-sdk/connection/page-blocks.ts'
import { packBlocks } from '../../protocol/block-frame.ts'
import { encodeFrame } from '../../protocol/frame.ts'
import type { PackedBlock } from '../../protocol/rows/block.ts'

const packed: PackedBlock = {
  block: { table: 'notes', count: 4, columns: [{ name: 'body', kind: 'dict', values: ['a', 'b'], section: 0 }] },
  sections: [Uint8Array.of(0, 1, 1, 0)],
}
const frame = packBlocks([packed, packed])
const deflated = deflateRawSync(frame)

test('gives the blocks of a deflated page, each with its own sections', async () => {
  expect(await pageBlocks({ blocks: [], deflated: frame.length }, [deflated])).toEqual([packed, packed])
})

test('gives the blocks of a page that was not deflated', async () => {
  const { block, sections } = packed
  expect(await pageBlocks({ blocks: [block] }, sections)).toEqual([packed])
})

test.each([
  ['has no section', frame.length, []],
  ['has more bytes than it says', frame.length - 1, [deflated]],
  ['has fewer bytes than it says', frame.length + 1, [deflated]],
  ['cannot be inflated', frame.length, [Uint8Array.of(7, 7, 7)]],
  ['ends too early', frame.length, [deflated.subarray(0, -4)]],
  ['has a block that does not add up', frame.length, [deflateRawSync(frame.with(frame.length - 1, 9))]],
  ['is no list of blocks', 8, [deflateRawSync(encodeFrame({ message: {}, sections: [] }))]],
])('refuses a page that %s', async (_, length, sections) => {
  await expect(pageBlocks({ blocks: [], deflated: length }, sections)).rejects.toMatchObject({ code: 'bad_frame' })
})

test('refuses to inflate without bound', async () => {
  await expect(pageBlocks({ blocks: [], deflated: 2 ** 40 }, [deflated])).rejects.toMatchObject({
    code: 'message_too_large',
  })
})
