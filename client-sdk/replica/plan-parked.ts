import { TideError } from '../../protocol/error.ts'
import { closureOf } from '../outbox/depends.ts'
import { withNewIds } from '../outbox/renew.ts'
import type { OutboxEntry } from '../store/store.ts'
import type { Step } from './step.ts'

/**
 * Sends a refused write again, as a new one: new id, new place at the end of the queue. What fell with it (its group,
 * its dependants) goes again too. Every row concerned must be known to the step. Answers the new entries, that of the
 * given one first. Of a write that goes again already it answers the entry that it has become: a tab asks once more
 * when the one that had the replica went away before its answer.
 */
export function planRetry(
  step: Step,
  id: string,
  entries: readonly OutboxEntry[],
  newId: () => string,
  now: number,
): readonly OutboxEntry[] {
  const before = step.entry(id) === undefined ? entries.find(({ formerId }) => formerId === id) : undefined
  if (before !== undefined) return [before]
  const entry = existing(step, id)
  if (entry.status !== 'rejected')
    throw notParked(entry, 'retried', 'Wait for its outcome; only refused writes can be retried.')
  const renewed = withNewIds(fallenWith(entry, entries, isRejected), newId)
  const entriesAgain = renewed.map(({ oldId, entry: old }) => {
    const again: OutboxEntry = {
      ...old,
      position: step.nextPosition(),
      status: 'local',
      outcome: null,
      settled: false,
      mutation: { ...old.mutation, clientSeq: 0, at: now },
    }
    step.replace(oldId, again)
    return { oldId, again }
  })
  return entriesAgain.toSorted((a, b) => Number(b.oldId === id) - Number(a.oldId === id)).map(({ again }) => again)
}

/**
 * Drops a write that was refused or never sent, with all that depends on it: the rows show what the server says.
 * Answers the ids dropped, the given one first.
 */
export function planDiscard(step: Step, id: string, entries: readonly OutboxEntry[]): readonly string[] {
  const entry = existing(step, id)
  if (!mayBeDiscarded(entry))
    throw notParked(
      entry,
      'discarded',
      entry.status === 'conflict'
        ? 'Resolve its conflict.'
        : 'Wait for its outcome, then change the row back if it is wrong.',
    )
  const fallen = fallenWith(entry, entries, mayBeDiscarded).map(({ mutation }) => mutation.id)
  for (const other of fallen) step.end(other, 'discarded')
  return [id, ...fallen.filter((other) => other !== id)]
}

/** The writes that a retry or a discard of this one concerns, itself included, in call order. */
export function fallenWith(
  entry: OutboxEntry,
  entries: readonly OutboxEntry[],
  mayFall: (entry: OutboxEntry) => boolean,
): readonly OutboxEntry[] {
  const ids = closureOf([entry.mutation.id], entries, mayFall)
  return entries.filter(({ mutation }) => ids.has(mutation.id))
}

export function mayBeDiscarded(entry: OutboxEntry): boolean {
  return entry.status === 'rejected' || entry.status === 'local'
}

function isRejected(entry: OutboxEntry): boolean {
  return entry.status === 'rejected'
}

function existing(step: Step, id: string): OutboxEntry {
  const entry = step.entry(id)
  if (entry === undefined)
    throw new TideError('not_found', `There is no write ${id} in the outbox.`, {
      remedy: 'It is synced or was discarded.',
    })
  return entry
}

function notParked(entry: OutboxEntry, what: string, remedy: string): TideError {
  return new TideError('write_in_flight', `Write ${entry.mutation.id} is ${entry.status} and cannot be ${what}.`, {
    remedy,
  })
}
