import { Migration } from '@mikro-orm/migrations'

/** Extensions, and the schema `sync` with the functions that make ids. */
export class Migration20261122010000_extensions extends Migration {
  override up(): void {
    for (const name of ['vector', 'pg_trgm', 'pgcrypto', 'btree_gin']) {
      this.addSql(`create extension if not exists ${name}`)
    }
    this.addSql('create schema sync')
    this.addSql(uuidV7)
    this.addSql(uuidFromKey)
  }

  override down(): void {
    this.addSql('drop schema sync cascade')
    // The extensions stay: others in the database may use them, and creating them again is a no-op.
  }
}

/** PostgreSQL 18 has `uuidv7()`; this body runs on 15 as well. */
const uuidV7 = `
create function sync.uuid_v7() returns uuid language sql volatile parallel safe as $$
  -- A random version 4 UUID: its first 48 bits become the milliseconds, its version nibble 0100 becomes 0111.
  select encode(set_bit(set_bit(overlay(
    uuid_send(gen_random_uuid())
    placing substring(int8send((extract(epoch from clock_timestamp()) * 1000)::bigint) from 3)
    from 1 for 6), 52, 1), 53, 1), 'hex')::uuid
$$`

/** UUIDv8 of SHA-256 over the JSON array [table, key...]: what JSON.stringify gives in JavaScript. NULL is null. */
const uuidFromKey = `
create function sync.uuid_from_key(table_name text, key text[]) returns uuid language sql immutable parallel safe as $$
  select encode(set_byte(set_byte(hash, 6, get_byte(hash, 6) & 15 | 128), 8, get_byte(hash, 8) & 63 | 128), 'hex')::uuid
  from (
    select substring(sha256(convert_to('[' || string_agg(coalesce(to_json(part)::text, 'null'), ',' order by place) || ']', 'UTF8')) from 1 for 16) as hash
    from unnest(array_prepend(table_name, key)) with ordinality as parts(part, place)
  ) hashed
$$`
