import type { Change, Step } from './feed.ts'

/**
 * Neighbouring steps as one, from before the first to after the last: what a read over the same range would have found,
 * without reading. Undefined when they cannot tell: what a departure or a truncation takes away depends on what came
 * after it. Access, credentials and canary are the live loop's business and are left out. Telling of a row that it may
 * be known costs a needless delete, so `fresh` is kept only where one step names the row.
 */
export function foldSteps(steps: readonly Step[]): Step | undefined {
  const [first] = steps
  const last = steps.at(-1)
  if (!first || !last || steps.some(({ departures, resets }) => departures.length + resets.length > 0)) return undefined
  const changes = new Map<string, Change>()
  for (const step of steps) {
    for (const change of step.changes) {
      const key = `${change.table}/${change.id}`
      const before = changes.get(key)
      // Taken out and put in again: changes are ordered by their last commit.
      if (before) changes.delete(key)
      changes.set(key, before ? follow(before, change) : change)
    }
  }
  return {
    ...last,
    from: first.from,
    changes: [...changes.values()],
    bytes: steps.reduce((all, { bytes }) => all + bytes, 0),
    marks: steps.flatMap(({ marks }) => marks),
    embeddings: steps.every(({ embeddings }) => embeddings),
    credentials: [],
    canary: false,
    access: new Map(),
    verified: null,
  }
}

function follow(before: Change, change: Change): Change {
  const former = new Set([...before.homes, ...before.formerHomes, ...change.formerHomes])
  for (const home of change.homes) former.delete(home)
  return {
    ...change,
    formerHomes: [...former],
    fresh: false,
    everywhere: change.everywhere || (change.row === null && before.everywhere),
  }
}
