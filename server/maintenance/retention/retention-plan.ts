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
   * Condition over the table as `t`. $1 now, $2 how long rows are kept, $3 the organization of the policy or null, $4 organizations that
   * have a policy of their own by this name.
   */
  readonly where: string
  readonly values: readonly [keepFor: string, organizationId: string | null, overridden: readonly string[]]
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

/** Which rows of a table are at their end. The newest write of a device stays for ever: it carries the device's counter. */
const terminal: Readonly<Record<string, string>> = {
  sync_conflicts: `t.status <> 'open'`,
  sync_mutations: `t.status <> 'received' and t.client_seq < (select max(n.client_seq) from sync_mutations n where n.device_id = t.device_id)`,
}

const cutoff = '$1::timestamptz - $2::interval'

/** The steps of all policies in force. An organization's own policy, even a disabled one, takes the place of the shipped one. */
export function planRetention(catalog: Catalog, policies: readonly Policy[]): readonly RetentionStep[] {
  return policies
    .filter(({ isEnabled, legalHold, action }) => isEnabled && !legalHold && action !== 'keep')
    .flatMap((policy) =>
      tablesOf(catalog, policy).flatMap((table) => {
        if (policy.organizationId !== null && !table.hasOrganization) return []
        const overridden = policies.flatMap(({ name, organizationId }) =>
          name === policy.name && organizationId !== null && policy.organizationId === null ? [organizationId] : [],
        )
        return [
          {
            policy,
            table: table.name,
            where: whereOf(catalog, table, policy),
            values: [policy.keepFor ?? '0', policy.organizationId, overridden] as const,
          },
        ]
      }),
    )
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

/** So that one run takes a whole tree. A circle of tables (there is none but of a table with itself) would end anywhere. */
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
