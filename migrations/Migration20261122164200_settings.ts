import { Migration } from '@mikro-orm/migrations'

/** The limits by which health is judged are rows of `system_settings`; where one is missing, what was written into the functions holds. */
export class Migration20261122164200_settings extends Migration {
  override up(): void {
    this.addSql(setting)
    for (const { name, changes } of judges) this.addSql(rewritten(name, changes))
  }

  override down(): void {
    for (const { name, changes } of judges)
      this.addSql(
        rewritten(
          name,
          changes.map(([from, to]) => [to, from]),
        ),
      )
    this.addSql('drop function sync.setting(text, double precision)')
  }
}

/** A number that operators may set; `otherwise` where there is none. */
const setting = `
create function sync.setting(name text, otherwise double precision) returns double precision language sql stable as $$
  select coalesce((select value::double precision from public.system_settings where key = name and jsonb_typeof(value) = 'number'), otherwise)
$$`

const limit = (name: string, otherwise: number): string => `sync.setting('health.${name}', ${otherwise})`
const hours = (job: string, text: string, otherwise: number): readonly [string, string] => [
  `sync.upkeep_of('${job}', '${text}')`,
  `sync.upkeep_of('${job}', ${limit(`${job}_hours`, otherwise)} || ' hours')`,
]

/** Each piece of text stands in its function once. */
const judges: ReadonlyArray<{ readonly name: string; readonly changes: ReadonlyArray<readonly [string, string]> }> = [
  {
    name: 'query_performance',
    changes: [
      [
        'total_ms / calls < 100 and p95_ms < 1000 ',
        `total_ms / calls < ${limit('query_average_ms', 100)} and p95_ms < ${limit('query_p95_ms', 1000)} `,
      ],
      [
        "total_ms / calls < 1000 then 'degraded'",
        `total_ms / calls < ${limit('query_critical_ms', 1000)} then 'degraded'`,
      ],
    ],
  },
  {
    name: 'get_system_health',
    changes: [
      ['>= 1000 then', `>= ${limit('query_critical_ms', 1000)} then`],
      ['>= 100 then', `>= ${limit('query_average_ms', 100)} then`],
      ['to_jsonb(100)', `to_jsonb(${limit('query_average_ms', 100)})`],
      ['most_connections * 0.9', `most_connections * ${limit('connections_part', 0.9)}`],
      ['longest > 600', `longest > ${limit('long_transaction_seconds', 600)}`],
      ['to_jsonb(600)', `to_jsonb(${limit('long_transaction_seconds', 600)})`],
      hours('retention', '50 hours', 50),
      hours('analytics', '1 hour', 1),
      hours('integrity_check', '50 hours', 50),
      hours('backup', '26 hours', 26),
      hours('restore_test', '35 days', 840),
    ],
  },
]

/** Makes a function again with other text in it; fails when a piece is not there exactly once. */
function rewritten(name: string, changes: ReadonlyArray<readonly [string, string]>): string {
  const pairs = changes.map(([from, to]) => `array[${quote(from)}, ${quote(to)}]`).join(', ')
  return `
do $do$
declare
  text text := pg_get_functiondef('sync.${name}()'::regprocedure);
  change text[];
begin
  foreach change slice 1 in array array[${pairs}] loop
    if length(text) - length(replace(text, change[1], '')) <> length(change[1]) then
      raise exception '% is not once in %', change[1], '${name}';
    end if;
    text := replace(text, change[1], change[2]);
  end loop;
  execute text;
end $do$`
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
