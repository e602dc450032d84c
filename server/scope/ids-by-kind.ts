import { parseChannel } from '../../protocol/rows/channel.ts'

/** The ids in the names of channels, each once, by the kind of the name. */
export function idsByKind(channels: Iterable<string>): ReadonlyMap<string, readonly string[]> {
  const byKind = Map.groupBy([...new Set(channels)].map(parseChannel), ({ kind }) => kind)
  return new Map([...byKind].map(([kind, names]) => [kind, names.map(({ id }) => id)]))
}
