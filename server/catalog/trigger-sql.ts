import type { ScopeRule } from '../../protocol/rows/table.ts'
import { toColumnName } from '../entities/define.ts'
import type { CatalogTable } from './catalog.ts'

/**
 * The statements by which a migration gives a table its triggers. Migrations import nothing of ours, so they carry
 * these as text; a test compares.
 */
export function triggerSql(table: CatalogTable): readonly string[] {
  return [...channelSql(table), ...touchSql(table), ...captureSql(table), ...computedSql(table)]
}

function computedSql(table: CatalogTable): string[] {
  const stamps = Object.entries(table.stamps).flatMap(([property, stamp]) =>
    stamp
      ? [
          `select sync.install_stamp('${table.name}', '${toColumnName(property)}', $$ ${stamp.when}$$, ${stamp.keep ?? false})`,
        ]
      : [],
  )
  const revisions = Object.entries(table.revisions).flatMap(([property, counted]) =>
    counted
      ? [`select sync.install_revision('${table.name}', '${toColumnName(property)}', '${toColumnName(counted)}')`]
      : [],
  )
  return [...stamps, ...revisions]
}

function channelSql(table: CatalogTable): string[] {
  const expression = hasChannel(table) && table.scope ? channelExpression(table.scope, table) : undefined
  return expression === undefined ? [] : [`select sync.install_channel('${table.name}', $$${expression}$$)`]
}

function touchSql(table: CatalogTable): string[] {
  if (!has(table, 'updatedAt') || !has(table, 'id') || !has(table, 'createdAt')) return []
  const fixed = table.fixed.map(toColumnName).join(',')
  const silent = table.silent.map(toColumnName).join(',')
  const open = table.openWhile === undefined ? '' : `, $$${table.openWhile}$$`
  return [`select sync.install_touch('${table.name}', '{${fixed}}', '{${silent}}'${open})`]
}

function captureSql(table: CatalogTable): string[] {
  if (hasChannel(table)) return [`select sync.install_capture('${table.name}')`]
  if (!table.capture) return []
  const watched = table.capture.watched.map((property) => `{}.${toColumnName(property)}`).join(', ')
  return [`select sync.install_capture('${table.name}', $$${table.capture.channel}$$, $$(${watched})$$)`]
}

/**
 * The SQL expression, over `new`, of the channel a row lives in. Undefined where the channel is given at the insert.
 * No arm matches a row whose scope columns are all null: it has no home, and NOT NULL refuses it.
 */
export function channelExpression(rule: ScopeRule, table: CatalogTable): string | undefined {
  switch (rule.kind) {
    case 'columns': {
      const named = rule.columns.map(({ scope, column }) => channelOf(scope, column))
      if (rule.fallback) return coalesce([...named, `'organization/' || new.organization_id`])
      return coalesce(isShippable(table, rule) ? [...named, `'global'`] : named)
    }
    case 'row':
      return (
        `new.scope || '/' || case new.scope when 'organization' then new.organization_id when 'project' then new.project_id ` +
        `when 'team' then new.team_id when 'user' then new.user_id when 'agent' then new.agent_id end`
      )
    case 'via':
      return channelOf(rule.channel, rule.column)
    case 'project_home':
      return (
        `case new.visibility when 'organization' then 'organization/' || new.organization_id ` +
        `when 'team' then coalesce('team/' || new.team_id, 'project/' || new.id) else 'project/' || new.id end`
      )
    case 'conflict_home':
      return undefined
    case 'global':
      return `'global'`
  }
}

function channelOf(kind: string, property: string): string {
  return `'${kind}/' || new.${toColumnName(property)}`
}

function coalesce(expressions: readonly string[]): string {
  return expressions.length === 1 ? expressions.join() : `coalesce(${expressions.join(', ')})`
}

function hasChannel(table: CatalogTable): boolean {
  return has(table, 'channel') && table.descriptor !== undefined
}

function has(table: CatalogTable, property: string): boolean {
  return table.sqlColumns.some((column) => column.property === property)
}

/** Rows without an organization are shipped with the system, for everyone. */
function isShippable(table: CatalogTable, rule: ScopeRule & { readonly kind: 'columns' }): boolean {
  return rule.columns.some(({ column }) => {
    return (
      column === 'organizationId' &&
      table.sqlColumns.some(({ property, nullable, generated }) => property === column && nullable && !generated)
    )
  })
}
