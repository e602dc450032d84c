import type { IndexSpec } from './column.ts'

interface IndexOptions {
  readonly where?: string
}

interface UniqueOptions extends IndexOptions {
  /** Treat NULLs as equal. */
  readonly nullsNotDistinct?: true
}

/** Condition of an index over rows that are not soft-deleted. */
export const live = 'deleted_at is null'

export function index(
  columns: readonly string[],
  options: IndexOptions & { readonly include?: readonly string[] } = {},
): IndexSpec {
  return { columns, kind: 'btree', unique: false, ...options }
}

export function unique(columns: readonly string[], options: UniqueOptions = {}): IndexSpec {
  return { columns, kind: 'btree', unique: true, ...options }
}

export function gin(
  columns: readonly string[],
  options: IndexOptions & { readonly operators?: string } = {},
): IndexSpec {
  return { columns, kind: 'gin', unique: false, ...options }
}

/** Substring and similarity search on a text. */
export function trigram(column: string): IndexSpec {
  return { columns: [column], kind: 'gin', unique: false, operators: 'gin_trgm_ops' }
}

/** Approximate nearest neighbours by cosine distance. */
export function hnsw(column: string, options: IndexOptions = {}): IndexSpec {
  return { columns: [column], kind: 'hnsw', unique: false, operators: 'vector_cosine_ops', ...options }
}
