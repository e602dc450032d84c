import { Migration } from '@mikro-orm/migrations'

/** What to do about usage without a cost, in full: a price that begins after the usage gives it none. */
export class Migration20261122177300_price_hint extends Migration {
  override up(): void {
    this.addSql(inBill(former, hint))
  }

  override down(): void {
    this.addSql(inBill(hint, former))
  }
}

const former = 'Add the missing prices with `npx tidewire prices add`; the log and error_logs name the models.'
const hint =
  'Add the missing prices with `npx tidewire prices add`, with --from where a model has a price that begins later; the log and error_logs name the models.'

const inBill = (before: string, after: string): string => `
do $$ begin
  execute replace(pg_get_functiondef('sync.bill(uuid, date, date, numeric)'::regprocedure), $t$${before}$t$, $t$${after}$t$);
end $$`
