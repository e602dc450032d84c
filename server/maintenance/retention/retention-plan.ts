/** What retention will do: from policies and tables to statements. Pure; `retention.ts` runs it. */
import type { Catalog, CatalogTable } from '../../catalog/catalog.ts'

/** A row of `retention_policies`. */
export interface Policy {
  readonly organizationId: string | null
  readonly name: string
  readonly tableName: string
  readonly timeColumn: string
  readonly condition: 'none' | 'expired' | 'soft_deleted' | 'terminal' | 'read' | 'stopped'
  /** As Postgres writes an interval; null: from the moment in the time column on. */
  readonly keepFor: string | null
  readonly action: 'keep' | 'delete' | 'summarize_then_delete' | 'archive_then_delete'
  readonly batchSize: number
  readonly isEnabled: boolean
  readonly legalHold: boolean
}

/** Rows of one table that have outlived one policy. */
export interface RetentionStep {
  readonly policy: Policy
  readonly table: string
  /**
   * Condition over the table as `t`. $1 now, $2 how long rows are kept, $3 the organization of the policy or null, $4
   * organizations that have a policy of their own by this name; from $5 on those of policies that keep what hangs on
   * the rows.
   */
  readonly where: string
  /** From $2 on. */
  readonly values: readonly [keepFor: string, ...rest: readonly unknown[]]
  /** Its rows lie in monthly partitions, and are found by id and time. */
  readonly monthly: boolean
  /** All that any policy has to say of a monthly table is this step, and it needs no row of what goes. */
  readonly wholeMonths: boolean
  /** Rows of other tables go with its rows. */
  readonly cascades: boolean
  /** Rows of it go with those of a later step, unless they are gone by then. */
  readonly cascadedLater: boolean
}

/** Their people are anonymised by an administrator, and their rows stay. */
const neverPurged: ReadonlySet<string> = new Set(['organizations', 'users'])

const conditions: Readonly<Record<Policy['condition'], string | undefined>> = {
  none: undefined,
  expired: undefined,
  soft_deleted: undefined,
  terminal: undefined,
  read: 't.read_at is not null',
  stopped: 't.stopped_at is not null',
}

/**
 * Which rows of a table are at their end. The newest write of a device stays for ever: it carries the device's counter.
 */
const terminal: Readonly<Record<string, string>> = {
  sync_conflicts: `t.status <> 'open'`,
  sync_mutations: `t.status <> 'received' and t.client_seq < (select max(n.client_seq) from sync_mutations n where n.device_id = t.device_id)`,
}

const cutoff = '$1::timestamptz - $2::interval'

/**
 * The steps of all policies in force. An organization's own policy, even a disabled one, takes the place of the shipped
 * one.
 */
export function planRetention(catalog: Catalog, policies: readonly Policy[]): readonly RetentionStep[] {
  const steps = policies
    .filter(({ isEnabled, legalHold, action }) => isEnabled && !legalHold && action !== 'keep')
    .flatMap((policy) =>
      tablesOf(catalog, policy).flatMap((table) => {
        if (policy.organizationId !== null && (!table.hasOrganization || table.name === ofAll)) return []
        const values: [string, ...unknown[]] = [
          policy.keepFor ?? '0',
          policy.organizationId,
          overriders(policies, policy),
        ]
        const kept = keptBelow(catalog, policies, table, (value) => `$${values.push(value) + 1}`)
        const monthly = isMonthly(table)
        const alone = policies.filter(({ tableName }) => tableName === table.name).length === 1
        return [
          {
            policy,
            table: table.name,
            where: [whereOf(catalog, table, policy), ...kept].join(' and '),
            values,
            monthly,
            wholeMonths: monthly && alone && policy.action === 'delete' && policy.condition === 'none',
            cascades: childrenOf(catalog, table.name).length > 0,
          },
        ]
      }),
    )
  return steps.map((step, place) => ({
    ...step,
    cascadedLater: steps.slice(place).some(({ table }) => goesWith(catalog, step.table, table)),
  }))
}

/** One log of all organizations: cutting out the entries of one would leave holes for those who follow more. */
const ofAll = 'sync_changes'

/** How long the rows of a monthly table are kept by whoever keeps them longest. */
export function longestKeep(policies: readonly Policy[], table: string): readonly string[] {
  return policies.flatMap(({ tableName, keepFor }) => (tableName === table && keepFor !== null ? [keepFor] : []))
}

function isMonthly({ sqlColumns }: CatalogTable): boolean {
  return sqlColumns.some(({ name, primary }) => primary && name === 'occurred_at')
}

/** Organizations whose own policy takes the place of a shipped one. */
function overriders(policies: readonly Policy[], of: Policy): readonly string[] {
  if (of.organizationId !== null) return []
  return policies.flatMap(({ name, organizationId }) =>
    name === of.name && organizationId !== null ? [organizationId] : [],
  )
}

interface Child {
  readonly table: CatalogTable
  readonly column: string
}

/** Tables whose rows go with those of a table. */
function childrenOf(catalog: Catalog, parent: string): readonly Child[] {
  return [...catalog.byName.values()].flatMap((table) =>
    table.foreignKeys.flatMap(({ table: of, onDelete, column }) =>
      of === parent && onDelete === 'cascade' ? [{ table, column }] : [],
    ),
  )
}

function goesWith(catalog: Catalog, table: string, parent: string, seen = new Set<string>()): boolean {
  if (seen.has(parent)) return false
  seen.add(parent)
  return childrenOf(catalog, parent).some(
    ({ table: child }) => child.name === table || goesWith(catalog, table, child.name, seen),
  )
}

/** A row stays while another policy keeps or holds it, or anything that would go with it, at any depth. */
function keptBelow(
  catalog: Catalog,
  policies: readonly Policy[],
  parent: CatalogTable,
  param: (value: unknown) => string,
): readonly string[] {
  const keeping = policies.filter(({ action, legalHold, isEnabled }) => legalHold || (isEnabled && action === 'keep'))
  const holdsOf = ({ name, softDelete, hasOrganization }: CatalogTable): readonly Policy[] =>
    keeping.filter(
      ({ tableName, organizationId }) =>
        (tableName === name || (tableName === '*' && softDelete)) && (organizationId === null || hasOrganization),
    )
  const conditions = holdsOf(parent).map(
    (policy) => `not (${heldBy(policy, parent, 't', overriders(policies, policy), param)})`,
  )
  const descend = (from: string, depth: number, path: readonly string[], wrap: (inner: string) => string): void => {
    for (const { table, column } of childrenOf(catalog, from)) {
      if (path.includes(table.name)) continue
      const [above, alias] = [depth === 0 ? 't' : `k${depth}`, `k${depth + 1}`]
      const here = (inner: string): string =>
        wrap(`exists (select from "${table.name}" ${alias} where ${alias}."${column}" = ${above}.id and ${inner})`)
      for (const policy of holdsOf(table))
        conditions.push(`not ${here(heldBy(policy, table, alias, overriders(policies, policy), param))}`)
      descend(table.name, depth + 1, [...path, table.name], here)
    }
  }
  descend(parent.name, 0, [parent.name], (inner) => inner)
  return conditions
}

function heldBy(
  { organizationId, tableName }: Policy,
  { hasOrganization }: CatalogTable,
  alias: string,
  others: readonly string[],
  param: (value: unknown) => string,
): string {
  const deleted = tableName === '*' ? `${alias}.deleted_at is not null and ` : ''
  if (organizationId !== null) return `${deleted}${alias}.organization_id = ${param(organizationId)}::uuid`
  if (!hasOrganization || others.length === 0) return `${deleted}true`
  return `${deleted}(${alias}.organization_id is null or ${alias}.organization_id <> all (${param(others)}::uuid[]))`
}

function tablesOf(catalog: Catalog, { tableName }: Policy): readonly CatalogTable[] {
  if (tableName !== '*') return [catalog.byName.get(tableName)].filter((table) => table !== undefined)
  return childrenFirst(
    [...catalog.byName.values()].filter(({ name, softDelete }) => softDelete && !neverPurged.has(name)),
  )
}

function whereOf(catalog: Catalog, table: CatalogTable, policy: Policy): string {
  return [
    `t."${policy.timeColumn}" < ${cutoff}`,
    conditions[policy.condition],
    policy.condition === 'terminal' ? terminal[table.name] : undefined,
    ...(policy.condition === 'soft_deleted' ? survivors(catalog, table) : []),
    table.hasOrganization
      ? `case when $3::uuid is null then t.organization_id is null or t.organization_id <> all ($4::uuid[]) else t.organization_id = $3 end`
      : '$3::uuid is null and $4::uuid[] is not null',
  ]
    .filter((part) => part !== undefined)
    .map((part) => `(${part})`)
    .join(' and ')
}

/** A parent waits until all that would go with it may go. */
function survivors(catalog: Catalog, parent: CatalogTable): readonly string[] {
  return [...catalog.byName.values()].flatMap((child) =>
    child.foreignKeys
      .filter(({ table, onDelete }) => table === parent.name && onDelete === 'cascade' && child.softDelete)
      .map(
        ({ column }) =>
          `not exists (select from "${child.name}" c where c."${column}" = t.id and (c.deleted_at is null or c.deleted_at >= ${cutoff}))`,
      ),
  )
}

/**
 * So that one run takes a whole tree. A circle of tables (there is none but of a table with itself) would end anywhere.
 */
function childrenFirst(tables: readonly CatalogTable[]): readonly CatalogTable[] {
  const names = new Set(tables.map(({ name }) => name))
  const ordered: CatalogTable[] = []
  const seen = new Set<string>()
  const visit = (table: CatalogTable): void => {
    if (seen.has(table.name)) return
    seen.add(table.name)
    for (const child of tables)
      if (
        child.foreignKeys.some((key) => key.table === table.name && key.onDelete === 'cascade') &&
        names.has(child.name)
      )
        visit(child)
    ordered.push(table)
  }
  for (const table of tables) visit(table)
  return ordered
}
