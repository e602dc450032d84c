import { Migration } from '@mikro-orm/migrations'

/** Usage counts for the credential that it was made with, so that what a credential may cost in a month is a limit. */
export class Migration20261122177400_usage_credentials extends Migration {
  override up(): void {
    this.addSql(credentialOfUsage)
    this.addSql(computeUsageCredential)
    this.addSql(
      `create trigger a_credential_computed before insert on token_usages for each row
        when (new.credential_id is null and new.organization_id is not null) execute function sync.compute_usage_credential()`,
    )
  }

  override down(): void {
    this.addSql('drop trigger a_credential_computed on token_usages')
    this.addSql('drop function sync.compute_usage_credential()')
    this.addSql('drop function sync.credential_of_usage(uuid, uuid, text, text)')
  }
}

/**
 * The user's own before the organization's; by its label where the usage names one, else the one that is labelled `default`, or the only one.
 * Null: there is none, or several that it could be. A definer's, for whoever writes may not read the table.
 */
const credentialOfUsage = `
create function sync.credential_of_usage(organization uuid, of_user uuid, of_provider text, named text)
returns uuid language sql stable security definer set search_path = pg_catalog, pg_temp as $$
  select id from (
    select id, user_id, label, count(*) over (partition by user_id) as candidates from public.credentials
    where organization_id = organization and (user_id = of_user or user_id is null) and provider = of_provider
      and kind in ('api_key', 'oauth_token', 'bot_token') and revoked_at is null
  ) c
  where case when named is null then label = 'default' or candidates = 1 else label = named end
  order by user_id is null, label <> 'default' limit 1
$$`

const computeUsageCredential = `
create function sync.compute_usage_credential() returns trigger language plpgsql as $$
begin
  new.credential_id := sync.credential_of_usage(new.organization_id, new.user_id, new.provider, new.metadata ->> 'credentialLabel');
  return new;
end $$`
