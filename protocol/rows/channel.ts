import { TideError } from '../error.ts'
import type { Row } from './row.ts'
import { scopeKinds, type ScopeRule, type TableDescriptor } from './table.ts'

/** Rows that every client gets. */
export const globalChannel = 'global'

export interface ChannelName {
  /** `global`, a scope (`project`), `device`, or the parent of a sub-channel (`conversation`). */
  readonly kind: string
  /** Empty for `global`. */
  readonly id: string
}

/** Kinds that stand for themselves; all others hang under a channel. */
const ownKinds: ReadonlySet<string> = new Set([...scopeKinds, 'device', globalChannel])

/**
 * The one channel a row lives in, by its table's scope rule; the trigger `set_channel` of the database computes the
 * same. Throws `TideError` `invalid_value` when the columns that the rule needs are null.
 */
export function channelOf(table: TableDescriptor, row: Row): string {
  return homeOf(table, row) ?? fail(table, row)
}

function homeOf(table: TableDescriptor, row: Row): string | undefined {
  const rule = table.scope
  switch (rule.kind) {
    case 'columns':
      for (const { scope, column } of rule.columns) {
        const home = named(scope, row[column])
        if (home !== undefined) return home
      }
      return rule.fallback === 'organization'
        ? organizationOf(row)
        : isShippable(table, rule)
          ? globalChannel
          : undefined
    case 'row': {
      const scope = row['scope']
      if (typeof scope !== 'string') return undefined
      return scope === 'organization' ? organizationOf(row) : named(scope, row[`${scope}Id`])
    }
    case 'via':
      return named(rule.channel, row[rule.column])
    case 'project_home':
      return projectHome(row)
    case 'conflict_home':
      return typeof row['channel'] === 'string' ? row['channel'] : undefined
    case 'global':
      return globalChannel
  }
}

/** Where people look for a project: those who may find it. A private one is found by those who are in it. */
function projectHome(row: Row): string | undefined {
  switch (row['visibility']) {
    case 'organization':
      return organizationOf(row)
    case 'team':
      return named('team', row['teamId']) ?? named('project', row['id'])
    default:
      return named('project', row['id'])
  }
}

function organizationOf(row: Row): string | undefined {
  return named('organization', row['organizationId'])
}

/** Rows of no organization are those that Tidewire ships: everyone's. */
function isShippable(table: TableDescriptor, rule: ScopeRule & { readonly kind: 'columns' }): boolean {
  return (
    rule.columns.some(({ column }) => column === 'organizationId') && table.columns['organizationId']?.nullable === true
  )
}

function named(kind: string, id: unknown): string | undefined {
  return typeof id === 'string' ? `${kind}/${id}` : undefined
}

function fail(table: TableDescriptor, row: Row): never {
  throw new TideError(
    'invalid_value',
    `Row ${String(row['id'])} of ${table.name} names no scope, so it belongs to no channel.`,
    {
      remedy: 'Give one of its scope columns a value.',
    },
  )
}

/** Takes a channel's name apart. Throws `TideError` `bad_message`. */
export function parseChannel(channel: string): ChannelName {
  if (channel === globalChannel) return { kind: globalChannel, id: '' }
  const slash = channel.indexOf('/')
  if (slash < 1 || slash === channel.length - 1) {
    throw new TideError(
      'bad_message',
      `${JSON.stringify(channel)} is no channel: it must be \`global\` or \`kind/<uuid>\`.`,
    )
  }
  return { kind: channel.slice(0, slash), id: channel.slice(slash + 1) }
}

/**
 * True for channels that hang under others (`conversation/<id>`): clients get them with their parents and never follow
 * them by name.
 */
export function isSubChannel(channel: string): boolean {
  return !ownKinds.has(parseChannel(channel).kind)
}
