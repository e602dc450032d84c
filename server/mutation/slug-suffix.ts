import type { Row } from '../../protocol/rows/row.ts'
import type { WriteRefusal } from '../db/sql-refusal.ts'
import type { Write } from './mutation-store.ts'

/** How often another slug is tried. */
export const slugAttempts = 20
const maxSlugLength = 63

/**
 * The write with the next slug: `api` → `api-2` → `api-3`. Undefined when the refusal is about something else: people
 * choose slugs for looks, and two devices offline may choose the same; other unique keys carry meaning.
 */
export function withNextSlug(write: Write, refusal: WriteRefusal, attempt: number): Write | undefined {
  const values: Row = write.kind === 'insert' ? write.values : write.set
  const slug = values['slug']
  if (
    refusal.code !== 'unique_violated' ||
    !refusal.columns.includes('slug') ||
    typeof slug !== 'string' ||
    attempt > slugAttempts
  )
    return undefined
  const suffix = `-${attempt + 1}`
  const next = { slug: `${slug.slice(0, maxSlugLength - suffix.length)}${suffix}` }
  return write.kind === 'insert'
    ? { ...write, values: { ...values, ...next } }
    : { ...write, set: { ...values, ...next } }
}
