import { createHash } from 'node:crypto'
import type { Write } from './mutation-store.ts'

/**
 * What devices had written where a document's content was merged, for the trigger that keeps its versions: JSON of the
 * documents by id, or '' when none was merged. The content that a device had edited goes by its SHA-256, since its
 * version need only be found.
 */
export function mergedDocuments(writes: readonly Write[]): string {
  const documents = writes.flatMap((write) => {
    if (write.kind !== 'update' || write.table !== 'documents') return []
    const { base, mine } = write.texts?.['content'] ?? {}
    if (typeof base !== 'string' || typeof mine !== 'string') return []
    return [[write.id, { content: mine, base: createHash('sha256').update(base).digest('hex') }] as const]
  })
  return documents.length === 0 ? '' : JSON.stringify(Object.fromEntries(documents))
}
