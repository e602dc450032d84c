/**
 * Prices per million tokens in USD, from the start of time; an organization's own row wins. Decimal strings, as they
 * are stored.
 */
export const modelPrices = [
  { provider: 'openai', model: 'gpt-4', input: '30', output: '60' },
  { provider: 'openai', model: 'gpt-4-turbo', input: '10', output: '30' },
  { provider: 'openai', model: 'gpt-3.5-turbo', input: '0.5', output: '1.5' },
  { provider: 'openai', model: 'gpt-3.5-turbo-16k', input: '3', output: '4' },
  {
    provider: 'openrouter',
    model: 'google/gemini-2.5-flash-preview-05-20:thinking',
    input: '0.15',
    output: '3.50',
    contextLimit: 1_000_000,
  },
] as const satisfies readonly ModelPrice[]

export interface ModelPrice {
  readonly provider: string
  readonly model: string
  readonly input: string
  readonly output: string
  readonly contextLimit?: number
}

/** Since when they hold: before any use that could be recorded. */
export const pricesFrom = '2020-01-01T00:00:00.000Z'
