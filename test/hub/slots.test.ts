import { expect, test } from 'vitest'
import { Bell } from '../../server/hub/bell.ts'
import { Slots } from '../../server/hub/slots.ts'

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

test('a task that fails gives its slot back', async () => {
  const slots = new Slots(1)
  await expect(slots.run(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
  expect(await slots.run(async () => 1)).toBe(1)
})

test('a bell that rang before anyone waited is heard, once', async () => {
  const bell = new Bell()
  bell.ring()
  bell.ring()
  await bell.wait()
  let heard = false
  const waiting = bell.wait().then(() => {
    heard = true
  })
  await Promise.resolve()
  expect(heard).toBe(false)
  bell.ring()
  await waiting
})
