/**
 * The rows that Tidewire itself brings: what clients look values up in, and what an organization begins with. They have
 * no organization, are read-only to clients, and their ids follow from their keys, so that shipping them again changes
 * nothing.
 */
import type { Json } from '../../protocol/rows/row.ts'
import { uuidFromKey } from '../../lib/uuid-from-key.ts'
import * as valueLists from '../entities/enums.ts'
import { tableSpec, toColumnName } from '../entities/define.ts'
import type { Catalog, CatalogTable } from './catalog.ts'
import { schemaVersion } from './generate.ts'
import { scopeText } from './scope-text.ts'
import { agentTypes, type AgentType } from './shipped/agent-types.ts'
import { documentTemplates } from './shipped/document-templates.ts'
import { modelPrices, pricesFrom, type ModelPrice } from './shipped/model-prices.ts'
import { promptOf } from './shipped/prompts.ts'
import { retentionPolicies } from './shipped/retention-policies.ts'
import { healthSettings } from './shipped/settings.ts'

export interface ShippedTable {
  readonly table: string
  /** By SQL column; all rows of a table have the same columns. */
  readonly rows: readonly Readonly<Record<string, Json>>[]
  /**
   * `ours`: rows follow the shipped ones, with every upgrade. `theirs`: made once, then left as operators change them.
   */
  readonly upkeep: 'ours' | 'theirs'
}

/** In the order in which they must be stored. */
export function shippedRows(catalog: Catalog): readonly ShippedTable[] {
  return [
    ours('agent_types', agentTypeRows()),
    ours('enum_values', enumRows(catalog)),
    ours('sync_tables', [...catalog.byName.values()].map(syncTableRow)),
    ours(
      'document_templates',
      documentTemplates.map(({ key, ...rest }) => row('document_templates', [null, key], { key, ...rest })),
    ),
    theirs('model_prices', (modelPrices satisfies readonly ModelPrice[]).map(priceRow)),
    theirs('prompts', agentTypes.map(promptRow)),
    theirs('agent_permissions', agentTypes.flatMap(permissionRows)),
    theirs('retention_policies', retentionPolicies.map(policyRow)),
    ours('system_settings', [
      settingRow({
        key: 'schema.version',
        value: schemaVersion,
        description: 'Version of the schema that clients are told.',
      }),
    ]),
    theirs('system_settings', healthSettings.map(settingRow)),
  ]
}

type Values = Readonly<Record<string, Json>>

function ours(table: string, rows: readonly Values[]): ShippedTable {
  return { table, rows, upkeep: 'ours' }
}

function theirs(table: string, rows: readonly Values[]): ShippedTable {
  return { table, rows, upkeep: 'theirs' }
}

function row(table: string, key: readonly (string | null)[], values: Values): Values {
  return { id: uuidFromKey(table, key), ...values }
}

function agentTypeRows(): readonly Values[] {
  return agentTypes.map(({ key, name, description, capabilities }) =>
    row('agent_types', [null, key], { key, name, description, default_capabilities: [...capabilities] }),
  )
}

/** Every list of values that a client may meet, by `<table>.<column>`; lists that have a name, by that too. */
function enumRows(catalog: Catalog): readonly Values[] {
  const named = Object.entries(valueLists).map(([name, values]): [string, readonly string[]] => [
    toColumnName(name),
    values,
  ])
  const namedLists = new Set(named.map(([, values]) => values.join()))
  const columns = [...catalog.synced.values()].flatMap(({ name, descriptor }) =>
    Object.values(descriptor.columns).flatMap((column): [string, readonly string[]][] =>
      column.values && !namedLists.has(column.values.join()) ? [[`${name}.${column.name}`, column.values]] : [],
    ),
  )
  return [...named, ...columns].flatMap(([name, values]) =>
    values.map((value, place) =>
      row('enum_values', [name, value], {
        enum_name: name,
        value,
        label: labelOf(value),
        sort_order: place,
        deprecated_at: null,
      }),
    ),
  )
}

function labelOf(value: string): string {
  const words = value.replaceAll('_', ' ')
  return words.charAt(0).toUpperCase() + words.slice(1)
}

function syncTableRow(table: CatalogTable): Values {
  const spec = tableSpec(table.name)
  const classes = Object.entries(spec.classes ?? {}).map(([name, properties]) => [name, properties.map(toColumnName)])
  const organization = spec.columns['organizationId']?.spec
  return row('sync_tables', [table.name], {
    table_name: table.name,
    module: spec.module,
    scope_rule: scopeText(spec.scope, organization?.nullable === true && 'channel' in spec.columns),
    direction: spec.direction,
    write_roles: [...(spec.writers ?? [])],
    conflict_policy: spec.policy,
    column_classes: Object.fromEntries(classes),
    since_schema: schemaVersion,
  })
}

function priceRow({ provider, model, input, output, contextLimit }: ModelPrice): Values {
  return row('model_prices', [null, provider, model, pricesFrom], {
    provider,
    model,
    input_cost_per_million: input,
    output_cost_per_million: output,
    context_limit: contextLimit ?? null,
    effective_from: pricesFrom,
  })
}

function promptRow(type: AgentType): Values {
  return row('prompts', [null, type.key, 'default', '1.0.0'], {
    agent_type: type.key,
    semver: '1.0.0',
    prompt_text: promptOf(type),
    status: 'approved',
    is_active: true,
  })
}

function settingRow(setting: { readonly key: string; readonly value: number; readonly description: string }): Values {
  return row('system_settings', [setting.key], setting)
}

/** No row means denied; these say it, so that whoever looks finds a decision. */
function permissionRows({ key, writes, deploys }: AgentType): readonly Values[] {
  const tools = { read: true, write: writes ?? false, shell: writes ?? false, deploy: deploys ?? false }
  return Object.entries(tools).map(([tool, allowed]) =>
    row('agent_permissions', [null, key, null, tool], { agent_type: key, tool_name: tool, allowed }),
  )
}

function policyRow(policy: (typeof retentionPolicies)[number]): Values {
  return row('retention_policies', [null, policy.name], {
    name: policy.name,
    table_name: policy.table,
    time_column: policy.time,
    condition: policy.condition ?? 'none',
    keep_for: policy.keepFor ?? null,
    action: policy.action ?? 'delete',
    summary_table: policy.summary ?? null,
  })
}
