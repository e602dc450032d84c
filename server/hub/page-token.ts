import { TideError } from '../../protocol/error.ts'
import { isRowId } from '../../lib/uuid.ts'

/**
 * Where a bootstrap goes on: index into the tables of the selection, and the last id sent of that table. Opaque to
 * clients.
 */
export interface PagePlace {
  readonly table: number
  readonly afterId: string | null
}

export const firstPlace: PagePlace = { table: 0, afterId: null }

export function toToken({ table, afterId }: PagePlace): string {
  return JSON.stringify([table, afterId])
}

/** Throws `TideError` `bad_message` for what `toToken` did not make. */
export function fromToken(token: string | null): PagePlace {
  if (token === null) return firstPlace
  const value = parse(token)
  if (Array.isArray(value) && value.length === 2) {
    const [table, afterId]: readonly unknown[] = value
    const isPlace = typeof table === 'number' && Number.isSafeInteger(table) && table >= 0
    if (isPlace && (afterId === null || (typeof afterId === 'string' && isRowId(afterId)))) return { table, afterId }
  }
  throw new TideError(
    'bad_message',
    `${JSON.stringify(token.slice(0, 80))} is no page token of this server. Use \`next\` of the page before, or null.`,
  )
}

function parse(token: string): unknown {
  try {
    return JSON.parse(token)
  } catch {
    return undefined
  }
}
