import { Migration } from '@mikro-orm/migrations'
import { auditRow as formerAuditRow } from './Migration20261122080100_audit.ts'

/**
 * The refresh tokens of a session are a line: the one before the newest may be used again for a minute, and any older one is
 * known by its family and ends the session.
 */
export class Migration20261122186000_refresh_lines extends Migration {
  override up(): void {
    this.addSql(
      `alter table "auth_sessions" add column "previous_token_hash" bytea null, add column "family_token_hash" bytea null, add column "rotated_at" timestamptz(3) null;`,
    )
    this.addSql(
      `alter table "auth_sessions" add constraint "auth_sessions_family_token_hash_key" unique ("family_token_hash");`,
    )
    this.addSql(replaced(auditRow))
  }

  override down(): void {
    this.addSql(replaced(formerAuditRow))
    this.addSql(`alter table "auth_sessions" drop constraint "auth_sessions_family_token_hash_key";`)
    this.addSql(
      `alter table "auth_sessions" drop column "previous_token_hash", drop column "family_token_hash", drop column "rotated_at";`,
    )
  }
}

const replaced = (statement: string): string => statement.replace('create function', 'create or replace function')

/** Which token of its line is good is no more news than that a session goes on; nor is the device that uses it. */
const auditRow = formerAuditRow.replace(
  `array['refresh_token_hash', 'expires_at']`,
  `array['refresh_token_hash', 'previous_token_hash', 'family_token_hash', 'rotated_at', 'expires_at', 'device_id']`,
)
