import { bigint, date, enumeration, json, numeric, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { serverColumns } from '../mixins.ts'

/** Charges; never changed after issue, corrected by a row that names it in `reversesId`; admins read them by API. */
export const billingRecords = defineTable({
  table: 'billing_records',
  module: 'costs',
  direction: 'server',
  policy: 'server',
  columns: {
    ...serverColumns(),
    organizationId: reference('organizations', 'restrict'),
    userId: reference('users', 'set null').nullable(),
    projectId: reference('projects', 'set null').nullable(),
    periodStart: date(),
    periodEnd: date(),
    provider: text().default(''),
    model: text().default(''),
    inputTokens: bigint().default(0),
    outputTokens: bigint().default(0),
    usageCost: numeric(18, 8).default(0),
    markup: numeric(18, 8).default(0),
    amount: numeric(18, 8).generated('usage_cost + markup'),
    currency: text().len(3, 3).default('USD'),
    status: enumeration(['pending', 'invoiced', 'paid', 'void', 'refunded']).default('pending'),
    invoiceRef: text().nullable(),
    reversesId: reference('billing_records', 'restrict').nullable(),
    lineItems: json().default([]),
  },
  indexes: [
    // Charges of several people or projects that are gone name none, so that nulls are not alike.
    unique(['organizationId', 'userId', 'projectId', 'periodStart', 'provider', 'model'], {
      where: 'reverses_id is null',
    }),
    index(['organizationId', 'periodStart']),
    index(['status']),
  ],
  checks: {
    period: 'period_end > period_start',
  },
})
