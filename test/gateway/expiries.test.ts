import { expect, test } from 'vitest'
import { Expiries, type Expiring } from '../../server/gateway/expiries.ts'
import { VirtualClock } from '../simulation/virtual-clock.ts'

test('each ends five seconds after its own end, as last said, and not once it is gone', async () => {
  const clock = new VirtualClock()
  const expiries = new Expiries(clock)
  const ended: string[] = []
  const named = (name: string): Expiring => ({ expire: () => ended.push(name) })
  const [soon, later, renewed, gone] = [named('soon'), named('later'), named('renewed'), named('gone')]
  const start = clock.now()
  expiries.set(later, start + 60_000)
  for (const one of [soon, renewed, gone]) expiries.set(one, start + 10_000)
  expiries.set(renewed, start + 90_000)
  expiries.delete(gone)
  await clock.run(14_900)
  expect(ended).toEqual([])
  await clock.run(200)
  expect(ended).toEqual(['soon'])
  await clock.run(50_000)
  expect(ended).toEqual(['soon', 'later'])
  await clock.run(30_000)
  expect(ended).toEqual(['soon', 'later', 'renewed'])
})
