import { Migration } from '@mikro-orm/migrations'

/**
 * Two charges of one month name nobody once their users or projects are deleted. The unique key took them for the same and
 * refused the deletion. Charging itself takes turns per organization and charges only what is not charged yet.
 */
export class Migration20261122176100_charges_of_the_gone extends Migration {
  override up(): void {
    this.addSql('drop index "billing_records_organization_id_user_id_project_id_period_s_key"')
    this.addSql(
      'create unique index "billing_records_organization_id_user_id_project_id_period_s_key" on "billing_records" ("organization_id", "user_id", "project_id", "period_start", "provider", "model") where reverses_id is null',
    )
  }

  override down(): void {
    this.addSql('drop index "billing_records_organization_id_user_id_project_id_period_s_key"')
    this.addSql(
      'create unique index "billing_records_organization_id_user_id_project_id_period_s_key" on "billing_records" ("organization_id", "user_id", "project_id", "period_start", "provider", "model") nulls not distinct where reverses_id is null',
    )
  }
}
