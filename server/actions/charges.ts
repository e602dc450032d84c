import { z } from 'zod'
import type { Charge } from '../../protocol/actions/charge.ts'
import { defineAction } from './action.ts'
import { checkAdmin } from './check-admin.ts'

const pageSize = 500

/**
 * What the organization was charged, newest period first: `{ charges, next }`, 500 at a time. Money is text, so that
 * nothing is rounded.
 */
export const listCharges = defineAction({
  name: 'charges.list',
  input: z.strictObject({
    /** `YYYY-MM`; all months when absent. */
    month: z
      .string()
      .regex(/^\d{4}-(0[1-9]|1[0-2])$/)
      .optional(),
    /** `next` of the page before. */
    after: z.uuid().optional(),
  }),
  readOnly: true,
  async run(context, { month, after }) {
    checkAdmin(context, 'see what the organization is charged')
    const rows = await context.query<Charge>({
      name: 'action_list_charges',
      text: `
        select b.id, b.user_id as "userId", b.project_id as "projectId", b.period_start::text as "periodStart", b.period_end::text as "periodEnd",
          b.provider, b.model, b.input_tokens::float8 as "inputTokens", b.output_tokens::float8 as "outputTokens", b.usage_cost::text as "usageCost",
          b.markup::text, b.amount::text, b.currency, b.status, b.invoice_ref as "invoiceRef", b.reverses_id as "reversesId"
        from billing_records b left join billing_records last on last.id = $3 and last.organization_id = $1
        where b.organization_id = $1 and ($2::text is null or b.period_start >= ($2 || '-01')::date and b.period_start < ($2 || '-01')::date + interval '1 month')
          and (last.id is null or (b.period_start, b.id) < (last.period_start, last.id))
        order by b.period_start desc, b.id desc limit ${pageSize + 1}`,
      values: [context.principal.organizationId, month ?? null, after ?? null],
    })
    const charges = rows.slice(0, pageSize).map((row) => ({ ...row }))
    return { charges, next: rows.length > pageSize ? (charges.at(-1)?.id ?? null) : null }
  },
})
