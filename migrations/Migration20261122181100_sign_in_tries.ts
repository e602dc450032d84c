import { Migration } from '@mikro-orm/migrations'

/**
 * Tries to sign in of the last minutes, by hashes of address and place, whether or not there is such an account. Not logged for a crash:
 * what is lost are counts of a quarter of an hour.
 */
export class Migration20261122181100_sign_in_tries extends Migration {
  override up(): void {
    this.addSql(`
create unlogged table sync.sign_in_tries (
  key bytea primary key,
  tries integer not null,
  since timestamptz not null
)`)
    this.addSql('create index sign_in_tries_since_idx on sync.sign_in_tries (since)')
    // Nobody is locked any more by what others tried.
    this.addSql(
      'update user_credentials set locked_until = null, failed_attempts = 0 where failed_attempts > 0 or locked_until is not null',
    )
    this.addSql('select sync.secure()')
  }

  override down(): void {
    this.addSql('drop table sync.sign_in_tries')
  }
}
