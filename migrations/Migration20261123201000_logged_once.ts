import { Migration } from '@mikro-orm/migrations'
import { inFunction } from './Migration20261122183000_kept_figures.ts'

/**
 * Commits that are in the log already are left out by their position, so that no entry ever finds its place taken. Should one, it was
 * dropped, and nobody knew; now it is refused, and replicas start over (docs/capture.md). Also, to be ready for it cost each entry a fifth
 * of the writer's time, and a record of WAL that the walsender read.
 */
export class Migration20261123201000_logged_once extends Migration {
  override up(): void {
    this.addSql(inFunction(logCommits, `${newest}${taken}`, newest))
  }

  override down(): void {
    this.addSql(inFunction(logCommits, newest, `${newest}${taken}`))
  }
}

const logCommits =
  'sync.log_commits(text, bigint, bigint, bigint[], integer[], bigint[], double precision[], uuid[], text[], text[], text[], uuid[], text[], uuid[], uuid[], uuid[], uuid[])'
const newest = 'where k.seq > last'
const taken = '\n  on conflict do nothing'
