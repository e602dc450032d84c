import { Migration } from '@mikro-orm/migrations'

/**
 * The strength of a memory that was of no use for very long is 0: `exp` of a double precision below about -745 is an error, and
 * one such memory stopped the decay of all.
 */
export class Migration20261122171100_old_memories extends Migration {
  override up(): void {
    this.addSql(replaced(exponent, `greatest(${exponent}, -700)`))
  }

  override down(): void {
    this.addSql(replaced(`greatest(${exponent}, -700)`, exponent))
  }
}

const exponent =
  '-decay_rate * extract(epoch from now() - greatest(last_accessed_at, last_reinforced_at, created_at))::double precision / 86400'

/** The function as it is, but for its exponent. */
function replaced(from: string, to: string): string {
  const literal = (text: string): string => `'${text}'`
  return `
do $$
declare
  definition text := pg_get_functiondef('sync.decay_memories(integer, uuid)'::regprocedure);
begin
  assert strpos(definition, ${literal(`exp(${from})`)}) > 0;
  execute replace(definition, ${literal(`exp(${from})`)}, ${literal(`exp(${to})`)});
end $$`
}
