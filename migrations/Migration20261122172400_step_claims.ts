import { Migration } from '@mikro-orm/migrations'

/** An agent that may begin no work now claims no step of a pipeline either, and its steps count among what it works on. */
export class Migration20261122172400_step_claims extends Migration {
  override up(): void {
    this.addSql(inFunction(claimStep, chosen, `${guard}\n  ${chosen}`))
    this.addSql(inFunction(claimRefusal, tasksHeld, `${tasksHeld}${stepsHeld}`))
    this.addSql(inFunction(claimRefusal, 'holds %s tasks,', 'holds %s tasks and steps,'))
  }

  override down(): void {
    this.addSql(inFunction(claimRefusal, 'holds %s tasks and steps,', 'holds %s tasks,'))
    this.addSql(inFunction(claimRefusal, `${tasksHeld}${stepsHeld}`, tasksHeld))
    this.addSql(inFunction(claimStep, `${guard}\n  ${chosen}`, chosen))
  }
}

const claimStep = 'sync.claim_step(uuid, uuid, interval, uuid[], text[])'
const chosen = 'select x.id into chosen'
const guard = 'if sync.claim_refusal(agent, instance) is not null then return null; end if;'

const claimRefusal = 'sync.claim_refusal(uuid, uuid)'
const tasksHeld = `where assigned_agent_id = agent and status = 'in_progress' and lease_expires_at is not null and deleted_at is null;`
const stepsHeld = `
    held := held + (select count(*) from sync.step_leases where agent_id = agent);`

const inFunction = (name: string, before: string, after: string): string => `
do $$ begin
  execute replace(pg_get_functiondef('${name}'::regprocedure), $t$${before}$t$, $t$${after}$t$);
end $$`
