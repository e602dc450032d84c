import { expect, test } from 'vitest'
import { Slots } from '../../lib/slots.ts'

test('no more tasks run at a time than there are slots, and they start in order', async () => {
  const slots = new Slots(2)
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
  const started: number[] = []
  const all = gates.map((gate, index) =>
    slots.run(async () => {
      started.push(index)
      await gate.promise
    }),
  )
  await Promise.resolve()
  expect(started).toEqual([0, 1])
  for (const gate of gates) gate.resolve()
  await Promise.all(all)
  expect(started).toEqual([0, 1, 2, 3, 4])
})

test('owners have their turns, however many tasks one of them has brought', async () => {
  const slots = new Slots(1)
  const [greedy, modest] = [{}, {}]
  const order: string[] = []
  const bring = (name: string, owner?: object): Promise<number> => slots.run(async () => order.push(name), owner)
  const all = [
    bring('first', greedy),
    ...['g1', 'g2', 'g3'].map((name) => bring(name, greedy)),
    ...['m1', 'm2'].map((name) => bring(name, modest)),
    bring('nobody'),
  ]
  await Promise.all(all)
  expect(order).toEqual(['first', 'g1', 'm1', 'nobody', 'g2', 'm2', 'g3'])
})

test('a task that fails gives its slot back', async () => {
  const slots = new Slots(1)
  await expect(slots.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await slots.run(async () => 1)).toBe(1)
})
