import { Migration } from '@mikro-orm/migrations'
import { summariseEvents as formerSummariseEvents } from './Migration20261122100100_events.ts'

/** How many events wait is counted among the next ones of each subscription: one that matches few of them would look at all there are. */
export class Migration20261122181200_bounded_backlog extends Migration {
  override up(): void {
    this.addSql(replacing(boundedSummary))
  }

  override down(): void {
    this.addSql(replacing(formerSummariseEvents))
  }
}

const replacing = (statement: string): string => statement.replace('create function', 'create or replace function')

const boundedSummary = formerSummariseEvents.replace(
  `      select w.organization_id, w.source, w.type from public.events w
      where w.organization_id = s.organization_id and w.seq > s.cursor_seq and sync.event_matches(w, s.source_pattern, s.type_pattern, s.filter)
      order by w.seq limit 10000
    ) e`,
  `      select n.organization_id, n.source, n.type from (
        select w as event, w.organization_id, w.source, w.type from public.events w
        where w.organization_id = s.organization_id and w.seq > s.cursor_seq order by w.seq limit 10000
      ) n
      where sync.event_matches(n.event, s.source_pattern, s.type_pattern, s.filter)
    ) e`,
)
