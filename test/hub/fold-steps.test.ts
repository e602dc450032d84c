import { expect, test } from 'vitest'
import { toSeq } from '../../protocol/seq.ts'
import { foldSteps } from '../../server/hub/fold-steps.ts'
import { change, row, step, taskId } from './changes.ts'

const early = { from: toSeq(0), to: toSeq(10) }
const late = { from: toSeq(10), to: toSeq(20) }

test('the newest state of a row counts, and every channel it was seen in', () => {
  const folded = foldSteps([
    step([change(1, { homes: ['a'], formerHomes: ['b'], fresh: true }), change(2)], early),
    step([{ ...change(1, { homes: ['c'], row: row(1, { status: 'z' }) }), seq: toSeq(11) }], late),
  ])
  expect(folded).toMatchObject({ from: 0, to: 20 })
  expect(folded?.changes.map(({ id }) => id)).toEqual([taskId(2), taskId(1)])
  expect(folded?.changes[1]).toMatchObject({
    row: { status: 'z' },
    homes: ['c'],
    formerHomes: ['a', 'b'],
    fresh: false,
  })
})

test('a row that comes back to a channel has not left it', () => {
  const folded = foldSteps([
    step([change(1, { homes: ['b'], formerHomes: ['a'] })], early),
    step([change(1, { homes: ['a'], formerHomes: ['b'] })], late),
  ])
  expect(folded?.changes[0]).toMatchObject({ homes: ['a'], formerHomes: ['b'] })
})

test('a row that is new in one step alone stays new', () => {
  expect(foldSteps([step([change(1, { fresh: true })], early), step([], late)])?.changes[0]?.fresh).toBe(true)
})

test('marks of all steps come with it', () => {
  const mark = (mutationId: string) => ({ marks: [{ deviceId: 'd', mutationId }] })
  expect(foldSteps([step([], { ...early, ...mark('1') }), step([], { ...late, ...mark('2') })])?.marks).toHaveLength(2)
})

test('it cannot tell what a departure or a truncation took away', () => {
  const departures = [{ channel: 'x', organizationId: null, left: ['a'], homes: [] }]
  expect(foldSteps([step([], early), step([], { ...late, departures })])).toBeUndefined()
  expect(foldSteps([step([], { ...early, resets: ['tasks'] }), step([], late)])).toBeUndefined()
  expect(foldSteps([])).toBeUndefined()
})
