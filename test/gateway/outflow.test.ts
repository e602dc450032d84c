import { expect, test } from 'vitest'
import type { TideError } from '../../protocol/error.ts'
import { mostUnread, Outflow } from '../../server/gateway/outflow.ts'
import { InputBudget } from '../../server/gateway/input-budget.ts'
import { Requests } from '../../server/gateway/requests.ts'
import type { GatewayTransport } from '../../server/gateway/seams.ts'

const MiB = 1024 * 1024

/** A client that reads when it is told to. */
class SlowWire implements GatewayTransport {
  unread = 0
  readonly frames: Uint8Array[] = []
  isClosed = false
  #drained: (() => void) | undefined

  onceDrained(listener: () => void): void {
    this.#drained = listener
  }

  send(frame: Uint8Array): void {
    this.unread += frame.byteLength
    this.frames.push(frame)
  }

  close(): void {
    this.isClosed = true
  }

  readAll(): void {
    this.unread = 0
    const drained = this.#drained
    this.#drained = undefined
    drained?.()
  }
}

function opened(): { wire: SlowWire; outflow: Outflow; errors: TideError[] } {
  const wire = new SlowWire()
  const errors: TideError[] = []
  const outflow = new Outflow(wire, (error) => void errors.push(error))
  outflow.open([])
  return { wire, outflow, errors }
}

test('what is sent before the welcome follows it', () => {
  const wire = new SlowWire()
  const outflow = new Outflow(wire, () => undefined)
  outflow.send(new Uint8Array([2]))
  expect(wire.frames).toEqual([])
  outflow.open([new Uint8Array([1])])
  expect(wire.frames.map(([byte]) => byte)).toEqual([1, 2])
})

test('a client that reads has room at once, and one that does not has room when it has read', async () => {
  const { wire, outflow } = opened()
  outflow.send(new Uint8Array(mostUnread))
  expect(outflow.room()).toBeUndefined()
  outflow.send(new Uint8Array(1))
  const room = outflow.room()
  expect(room).toBeInstanceOf(Promise)
  wire.readAll()
  await room
  expect(outflow.room()).toBeUndefined()
})

test('what waits for room is told when the connection has gone', async () => {
  const { outflow } = opened()
  outflow.send(new Uint8Array(mostUnread + 1))
  const room = outflow.room()
  outflow.close()
  await expect(room).rejects.toMatchObject({ code: 'closed' })
  await expect(outflow.room()).rejects.toMatchObject({ code: 'closed' })
})

test('batches may fill their window, and answers that pile up beyond end the connection', () => {
  const { outflow, errors } = opened()
  for (let n = 0; n < 64; n++) outflow.send(new Uint8Array(MiB), true)
  expect(errors).toEqual([])
  for (let n = 0; n < 16; n++) outflow.send(new Uint8Array(MiB))
  expect(errors).toEqual([])
  outflow.send(new Uint8Array(1))
  expect(errors).toMatchObject([{ code: 'rate_limited' }])
})

test('a client that reads now and then is never ended', () => {
  const { wire, outflow, errors } = opened()
  for (let n = 0; n < 200; n++) {
    outflow.send(new Uint8Array(MiB))
    if (n % 10 === 9) wire.readAll()
  }
  expect(errors).toEqual([])
})

test('of each channel only the newest presence waits for a client that does not read', () => {
  const { wire, outflow } = opened()
  outflow.send(new Uint8Array(mostUnread + 1))
  for (let n = 1; n <= 100; n++) {
    outflow.sendNewest('a', new Uint8Array([n]))
    outflow.sendNewest('b', new Uint8Array([n + 100]))
  }
  expect(wire.frames).toHaveLength(1)
  wire.readAll()
  expect(wire.frames.slice(1).map(([byte]) => byte)).toEqual([100, 200])
})

test('eight requests of a session are worked on at a time, and none while its answers are unread', async () => {
  const { wire, outflow } = opened()
  const requests = new Requests(() => outflow.room(), new InputBudget(1000))
  outflow.send(new Uint8Array(mostUnread + 1))
  const gate = Promise.withResolvers<void>()
  let [begun, ended] = [0, 0]
  const all = Array.from({ length: 20 }, async () => {
    await requests.run(1, async () => {
      begun += 1
      await gate.promise
    })
    ended += 1
  })
  await new Promise(setImmediate)
  expect(begun).toBe(0)
  wire.readAll()
  await new Promise(setImmediate)
  expect(begun).toBe(8)
  gate.resolve()
  await Promise.all(all)
  expect([begun, ended]).toEqual([20, 20])
})

test('a session whose requests wait in hundreds is refused further ones', async () => {
  const { wire, outflow } = opened()
  const requests = new Requests(() => outflow.room(), new InputBudget(1000))
  outflow.send(new Uint8Array(mostUnread + 1))
  const waiting = Array.from({ length: 256 }, () => requests.run(1, async () => 1))
  await expect(requests.run(1, async () => 1)).rejects.toMatchObject({ code: 'rate_limited' })
  wire.readAll()
  expect(await Promise.all(waiting)).toHaveLength(256)
  expect(await requests.run(1, async () => 2)).toBe(2)
})

test('what the requests of a session hold is bounded, and one alone is always taken', async () => {
  const { wire, outflow } = opened()
  const requests = new Requests(() => outflow.room(), new InputBudget(1000))
  outflow.send(new Uint8Array(mostUnread + 1))
  const waiting = [400, 600].map((bytes) => requests.run(bytes, async () => bytes))
  await expect(requests.run(1, async () => 1)).rejects.toMatchObject({ code: 'rate_limited' })
  wire.readAll()
  expect(await Promise.all(waiting)).toEqual([400, 600])
  expect(await requests.run(5000, async () => 5000)).toBe(5000)
})
