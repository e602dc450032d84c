import { expect, test } from 'vitest'
import { Bell } from '../../server/hub/bell.ts'

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
