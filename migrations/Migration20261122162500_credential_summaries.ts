import { Migration } from '@mikro-orm/migrations'

/**
 * What may be shown of credentials is shown to whoever reads in the name of their organization: with the view's own rights, since
 * nobody may read the table under it.
 */
export class Migration20261122162500_credential_summaries extends Migration {
  override up(): void {
    this.addSql('drop view credential_summaries')
    this.addSql(`create view credential_summaries with (security_barrier = true) as ${summaries}
where organization_id = nullif(current_setting('app.organization_id', true), '')::uuid`)
  }

  override down(): void {
    this.addSql('drop view credential_summaries')
    this.addSql(`create view credential_summaries with (security_invoker = true) as ${summaries}`)
  }
}

/** Nothing from which a secret could be told: no ciphertext, no fingerprint. */
const summaries = `
select id, organization_id, user_id, provider, kind, label, key_id, last_four, account_label, scopes, spend_limit_usd,
  case when revoked_at is not null then 'revoked' when expires_at <= now() then 'expired' else 'active' end as status,
  expires_at, last_used_at, last_rotated_at, revoked_at, created_at, updated_at
from credentials`
