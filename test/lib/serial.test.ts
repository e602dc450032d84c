import { expect, test } from 'vitest'
import { Serial } from '../../lib/serial.ts'

test('runs tasks one after another, and a failing one fails alone', async () => {
  const serial = new Serial()
  const log: string[] = []
  const task = (name: string, fails: boolean) => async (): Promise<string> => {
    log.push(`${name} starts`)
    await Promise.resolve()
    log.push(`${name} ends`)
    if (fails) throw new Error(name)
    return name
  }
  const results = await Promise.allSettled([
    serial.run(task('a', false)),
    serial.run(task('b', true)),
    serial.run(task('c', false)),
  ])
  expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(log).toEqual(['a starts', 'a ends', 'b starts', 'b ends', 'c starts', 'c ends'])
})

test('is idle when everything handed in has ended', async () => {
  const serial = new Serial()
  let isDone = false
  void serial.run(async () => {
    await Promise.resolve()
    isDone = true
  })
  await serial.idle()
  expect(isDone).toBe(true)
})
