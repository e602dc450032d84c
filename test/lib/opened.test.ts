import { describe, expect, test } from 'vitest'
import { Opened } from '../../lib/opened.ts'
import { ManualClock } from '../support/manual-clock.ts'

function openedWithNotes(): {
  opened: Opened
  notes: string[]
  errors: unknown[]
  close: (delayMs?: number) => Promise<void>
  clock: ManualClock
} {
  const [opened, clock, notes, errors] = [new Opened(), new ManualClock(), [] as string[], [] as unknown[]]
  const close = (delayMs = 0): Promise<void> =>
    opened.close({ clock, delayMs, ms: 1000 }, (error) => errors.push(error))
  return { opened, clock, notes, errors, close }
}

describe('what a program has opened', () => {
  test('finishes together, before anything ends, and ends the newest first', async () => {
    const { opened, notes, close } = openedWithNotes()
    const both = Promise.withResolvers<void>()
    opened.toEnd(() => void notes.push('oldest ends'))
    opened.toFinish(async () => {
      notes.push('first finishes')
      await both.promise
      notes.push('first has finished')
    })
    opened.toEnd(async () => void notes.push('newest ends'))
    opened.toFinish(async () => {
      notes.push('second finishes')
      both.resolve()
    })
    await close()
    expect(notes).toEqual(['first finishes', 'second finishes', 'first has finished', 'newest ends', 'oldest ends'])
  })

  test('says that it closes, and goes on as before until the delay is over', async () => {
    const { opened, notes, close, clock } = openedWithNotes()
    opened.toFinish(async () => void notes.push('finishes'))
    opened.toEnd(() => void notes.push('ends'))
    const closed = close(5000)
    expect(opened.isClosing).toBe(true)
    await clock.advance(4999)
    expect(notes).toEqual([])
    await clock.advance(1)
    await closed
    expect(notes).toEqual(['finishes', 'ends'])
  })

  test('ends what does not finish in time', async () => {
    const { opened, notes, close, clock } = openedWithNotes()
    opened.toFinish(() => new Promise(() => undefined))
    opened.toEnd(() => void notes.push('ended'))
    const closed = close()
    await clock.advance(999)
    expect(notes).toEqual([])
    await clock.advance(1)
    await closed
    expect(notes).toEqual(['ended'])
  })

  test('ends everything though some of it fails, and tells each failure', async () => {
    const { opened, notes, errors, close } = openedWithNotes()
    opened.toEnd(() => void notes.push('oldest ends'))
    opened.toEnd(() => Promise.reject(new Error('the second')))
    opened.toEnd(() => {
      throw new Error('the newest')
    })
    opened.toFinish(() => Promise.reject(new Error('unfinished')))
    await close()
    expect(notes).toEqual(['oldest ends'])
    expect(errors).toEqual([new Error('unfinished'), new Error('the newest'), new Error('the second')])
  })

  test('is closed once, whoever asks', async () => {
    const { opened, notes, close } = openedWithNotes()
    opened.toEnd(() => void notes.push('ended'))
    expect(opened.isClosing).toBe(false)
    const closings = [close(), close()]
    expect(opened.isClosing).toBe(true)
    await Promise.all(closings)
    expect(notes).toEqual(['ended'])
  })
})
