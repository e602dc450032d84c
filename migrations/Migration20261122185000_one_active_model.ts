import { Migration } from '@mikro-orm/migrations'
import { inFunction } from './Migration20261122183000_kept_figures.ts'

/**
 * Two who make a model of one target active at the same time do so one after the other: the second one is told which model is active by
 * then, instead of the name of an index.
 */
export class Migration20261122185000_one_active_model extends Migration {
  override up(): void {
    this.addSql(inFunction('sync.only_active_model()', look, `${inTurn}${look}`))
  }

  override down(): void {
    this.addSql(inFunction('sync.only_active_model()', `${inTurn}${look}`, look))
  }
}

const look = 'select * into active'

/** Each statement of a function that writes has a snapshot of its own, so what follows sees what the one before has committed. */
const inTurn = `perform pg_advisory_xact_lock(hashtextextended('active ' || new.target || ' model of ' || new.organization_id::text, 7165746964));
  `
