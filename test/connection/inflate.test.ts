import { randomBytes } from 'node:crypto'
import { deflateRawSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import * as browser from '../../client-sdk/connection/browser-inflate.ts'
import * as node from '../../client-sdk/connection/node-inflate.ts'

const bytes = new Uint8Array(randomBytes(300_000)).map((byte, index) => (index % 3 === 0 ? byte : 0))
const deflated = new Uint8Array(deflateRawSync(bytes))

describe.each([
  ['browsers', browser.inflateRaw],
  ['Node', node.inflateRaw],
])('inflating in %s', (_, inflateRaw) => {
  test('gives the bytes that were deflated, and nothing behind them', async () => {
    expect(await inflateRaw(deflated, bytes.length)).toEqual(bytes)
    expect(await inflateRaw(deflated, bytes.length + 1000)).toEqual(bytes)
    expect(await inflateRaw(new Uint8Array(deflateRawSync(new Uint8Array())), 0)).toEqual(new Uint8Array())
  })

  test.each([
    ['there are more bytes than allowed', deflated, bytes.length - 1],
    ['the data ends too early', deflated.subarray(0, -10), bytes.length],
    ['it is no deflated data', Uint8Array.of(7, 7, 7), 10],
  ])('rejects when %s', async (_why, data, most) => {
    await expect(inflateRaw(data, most)).rejects.toBeInstanceOf(Error)
  })
})
