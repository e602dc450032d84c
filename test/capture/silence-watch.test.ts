import { expect, test } from 'vitest'
import { SilenceWatch } from '../../server/capture/wal/silence-watch.ts'

function watch() {
  const state: { silent: number; sent: number | undefined; marks: number } = { silent: 0, sent: 0, marks: 0 }
  const silence = new SilenceWatch({
    silentMs: () => state.silent,
    mark: async () => {
      state.marks++
      return 100
    },
    sent: async () => state.sent,
  })
  return { state, silence }
}

test('a stream that is silent while Postgres has not sent what was marked is in the middle of something big', async () => {
  const { state, silence } = watch()
  Object.assign(state, { silent: 60_000, sent: 99 })
  for (let look = 0; look < 10; look++) expect(await silence.isCut()).toBe(false)
  expect(state.marks).toBe(1)
})

test.for([100, undefined])('it is cut off when Postgres has sent it, or sends no more: %s', async (sent) => {
  const { state, silence } = watch()
  Object.assign(state, { silent: 60_000, sent })
  expect([await silence.isCut(), await silence.isCut(), await silence.isCut()]).toEqual([false, false, true])
})

test('whatever comes ends the suspicion', async () => {
  const { state, silence } = watch()
  Object.assign(state, { silent: 8000, sent: 100 })
  for (let look = 0; look < 2; look++) expect(await silence.isCut()).toBe(false)
  state.silent = 0
  expect(await silence.isCut()).toBe(false)
  state.silent = 8000
  expect(await silence.isCut()).toBe(false)
  expect(state.marks).toBe(2)
})
