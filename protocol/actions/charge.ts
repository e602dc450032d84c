/** What an organization pays for a month's usage of one model by one person in one project. Money is decimal text. */
export interface Charge {
  readonly id: string
  readonly userId: string | null
  readonly projectId: string | null
  /** Days, as `YYYY-MM-DD`; the end is not part of it. */
  readonly periodStart: string
  readonly periodEnd: string
  readonly provider: string
  readonly model: string
  readonly inputTokens: number
  readonly outputTokens: number
  readonly usageCost: string
  readonly markup: string
  /** `usageCost` and `markup` together. */
  readonly amount: string
  readonly currency: string
  readonly status: 'pending' | 'invoiced' | 'paid' | 'void' | 'refunded'
  readonly invoiceRef: string | null
  /** The charge that this one takes back. */
  readonly reversesId: string | null
}
