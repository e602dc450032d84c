// Reads the notation of docs/schema.md: ```schema and ```enums blocks. The page says what each sign means.
import { codeBlocks, readPage } from './markdown.ts'

export const mixinNames = ['S', 'S0', 'R', 'R0', 'T', 'P', 'P0', 'V', 'A', 'X'] as const
export type Mixin = (typeof mixinNames)[number]

export interface DocColumn {
  /** snake_case. */
  readonly name: string
  /** As the page writes it: `numeric(5,2)`, `vector(D)`, `text[]`. */
  readonly type: string
  readonly notNull: boolean
  /** As the page writes it, without the `=`. */
  readonly default?: string
  /** Names the author or origin of a row: no index of its own. */
  readonly author?: true
  readonly references?: { readonly table: string; readonly onDelete: 'cascade' | 'set null' | 'restrict' }
  readonly values?: readonly string[]
  readonly length?: readonly [min: number, max: number]
  /** SQL of a column's own CHECKs. */
  readonly check?: string
  /** Expression of a stored generated column. */
  readonly generated?: string
}

export interface DocIndex {
  readonly kind: 'unique' | 'btree' | 'gin' | 'trgm' | 'hnsw'
  /** Columns by SQL name, without operator class. */
  readonly columns: readonly string[]
  readonly operators?: string
  readonly include: readonly string[]
  readonly nullsNotDistinct: boolean
  /** Condition of a partial index, `live` written out. */
  readonly where?: string
}

export interface DocTable {
  readonly name: string
  /** The heading above its block, without number. */
  readonly module: string
  readonly mixins: readonly Mixin[]
  readonly scope: string
  readonly direction: string
  readonly writers: readonly string[]
  readonly policy: string
  readonly purpose: string
  /** Its own columns; those of the mixins are not among them. */
  readonly columns: readonly DocColumn[]
  readonly indexes: readonly DocIndex[]
  /** SQL of CHECKs over several columns. */
  readonly checks: readonly string[]
  readonly primaryKey?: readonly string[]
  /** Column class to SQL names. */
  readonly fields: Readonly<Record<string, readonly string[]>>
}

export interface DocView {
  readonly name: string
  readonly kind: 'invoker' | 'barrier' | 'materialized'
  readonly columns: readonly string[]
  /** Of a materialized view: the columns of its unique index. */
  readonly key?: readonly string[]
}

export interface SchemaPage {
  readonly tables: readonly DocTable[]
  readonly views: readonly DocView[]
  /** As Postgres writes a function with the types of its arguments. */
  readonly functions: readonly string[]
  readonly enums: ReadonlyMap<string, readonly string[]>
}

const live = 'deleted_at is null'
const deleteRules = { C: 'cascade', N: 'set null', R: 'restrict' } as const

/** The whole page. Throws an error that names the line it does not understand. */
export function readSchemaPage(path = 'docs/schema.md'): SchemaPage {
  const page = readPage(path)
  const enums = new Map(codeBlocks(page, 'enums').flatMap(({ code }) => lines(code).map(parseEnum)))
  const headings = page.text.split('\n').map((line) => /^## (.+)$/.exec(line)?.[1])
  const moduleAt = (line: number): string => headings.slice(0, line).findLast((text) => text !== undefined) ?? ''
  const tables = codeBlocks(page, 'schema').flatMap(({ code, line }) => parseSchema(code, enums, moduleAt(line)))
  const views = codeBlocks(page, 'views').flatMap(({ code }) => lines(code).map(parseView))
  const functions = codeBlocks(page, 'functions').flatMap(({ code }) =>
    lines(code).map((line) => line.replace(/ -- .*$/, '').trim()),
  )
  return { tables, views, functions, enums }
}

function parseView(line: string): DocView {
  const match = /^(\w+) \[(?:(invoker|barrier)|materialized by ([\w, ]+))\]: ([\w, ]+?)(?: -- .+)?$/.exec(line)
  if (!match) throw new Error(`No view: ${line}`)
  const [, name = '', kind, key, columns = ''] = match
  if (key !== undefined) return { name, kind: 'materialized', columns: list(columns), key: list(key) }
  return { name, kind: kind === 'barrier' ? 'barrier' : 'invoker', columns: list(columns) }
}

export function parseSchema(
  code: string,
  enums: ReadonlyMap<string, readonly string[]>,
  module = '',
): readonly DocTable[] {
  const chunks = lines(code).reduce<string[][]>((all, line) => {
    if (/^\s/.test(line)) all.at(-1)?.push(line.trim())
    else all.push([line])
    return all
  }, [])
  return chunks.map(([header = '', ...body]) => parseTable(header, body, enums, module))
}

function lines(code: string): readonly string[] {
  return code.split('\n').filter((line) => line.trim() !== '')
}

function parseEnum(line: string): readonly [string, readonly string[]] {
  const [name = '', values = ''] = line.split(':')
  return [name.trim(), values.split(',').map((value) => value.trim())]
}

function parseTable(
  header: string,
  body: readonly string[],
  enums: ReadonlyMap<string, readonly string[]>,
  module: string,
): DocTable {
  const match = /^(\w+) \[([^\]]+)\] (.+?) · (rw|ro|up|server)(?: ([\w,]+))? · (\w+)(?: -- (.+))?$/.exec(header)
  if (!match) throw new Error(`No header of a table: ${header}`)
  const [, name = '', mixins = '', scope = '', direction = '', writers = '', policy = '', purpose = ''] = match
  const parts = body.flatMap((line) => splitTop(line, ';').map((text) => text.trim()))
  const directives = parts.filter((part) => /^(UQ|IX|GIN|TRGM|HNSW|CK|PK|FIELDS)\b/.test(part))
  // FIELDS holds several classes, separated like directives.
  const fieldsAt = parts.findIndex((part) => part.startsWith('FIELDS '))
  const fields = fieldsAt < 0 ? [] : parts.slice(fieldsAt).map((part) => part.replace(/^FIELDS /, ''))
  const columns = parts
    .slice(0, fieldsAt < 0 ? undefined : fieldsAt)
    .filter((part) => part !== '' && !directives.includes(part))
  const primaryKey = directives.find((part) => part.startsWith('PK '))
  return {
    name,
    module,
    mixins: mixins === '-' ? [] : mixins.split(' ').map(toMixin),
    scope,
    direction,
    writers: writers === '' ? [] : writers.split(','),
    policy,
    purpose,
    columns: columns.map((column) => parseColumn(column, enums)),
    indexes: directives.filter((part) => /^(UQ|IX|GIN|TRGM|HNSW)\b/.test(part)).map(parseIndex),
    checks: directives.filter((part) => part.startsWith('CK ')).map((part) => inParentheses(part.slice(3))),
    ...(primaryKey ? { primaryKey: list(inParentheses(primaryKey.slice(3))) } : {}),
    fields: Object.fromEntries(
      fields.filter(Boolean).map((field) => {
        const [kind = '', names = ''] = field.split(':')
        return [kind.trim(), list(names)]
      }),
    ),
  }
}

function toMixin(name: string): Mixin {
  const mixin = mixinNames.find((known) => known === name)
  if (!mixin) throw new Error(`No mixin ${name}.`)
  return mixin
}

function parseColumn(text: string, enums: ReadonlyMap<string, readonly string[]>): DocColumn {
  const [name = '', ...words] = splitTop(text, ' ')
  const rest = words.join(' ')
  const typed = /^(double precision|[a-z0-9]+(?:\([^)]*\))?(?:\[\])?)(!?)(?: (.*))?$/.exec(rest)
  if (!typed) throw new Error(`No column: ${text}`)
  const [, type = '', notNull, tail = ''] = typed
  return splitTop(tail, ' ').reduce<DocColumn>(
    (column, word, index, all) => ({ ...column, ...parseFact(word, index, all, enums, text) }),
    { name, type, notNull: notNull === '!' },
  )
}

function parseFact(
  word: string,
  index: number,
  all: readonly string[],
  enums: ReadonlyMap<string, readonly string[]>,
  text: string,
): Partial<DocColumn> {
  if (word === '' || all[index - 1] === '->' || all[index - 2] === '->') return {}
  if (word.startsWith('=')) return { default: word.slice(1) }
  if (word === '->') {
    const onDelete = deleteRules[all[index + 2] as keyof typeof deleteRules]
    if (!onDelete) throw new Error(`No delete rule: ${text}`)
    return { references: { table: all[index + 1] ?? '', onDelete } }
  }
  if (word === 'author') return { author: true }
  const call = /^(in|enum|len|ck|gen)\(/.exec(word)?.[1]
  if (call === undefined) throw new Error(`Not understood: ${word} in ${text}`)
  const argument = inParentheses(word.slice(call.length))
  switch (call) {
    case 'in':
      return { values: list(argument) }
    case 'enum': {
      const values = enums.get(argument)
      if (!values) throw new Error(`No enum ${argument}: ${text}`)
      return { values }
    }
    case 'len': {
      const [min = 0, max = 0] = list(argument).map(Number)
      return { length: [min, max] }
    }
    case 'ck':
      return { check: argument }
    default:
      return { generated: argument }
  }
}

function parseIndex(text: string): DocIndex {
  const match = /^(UQ|IX|GIN|TRGM|HNSW) \(([^)]*)\)( nnd)?( live)?(?: include \(([^)]*)\))?(?: where (.+))?$/.exec(text)
  if (!match) throw new Error(`No index: ${text}`)
  const [, sign = '', inside = '', nnd, isLive, include = '', condition] = match
  const kinds = { UQ: 'unique', IX: 'btree', GIN: 'gin', TRGM: 'trgm', HNSW: 'hnsw' } as const
  const kind = kinds[sign as keyof typeof kinds]
  const [first = '', operators] = inside.split(' ')
  const withOperators = kind === 'gin' && operators !== undefined && !inside.includes(',')
  const where = [isLive ? live : '', condition ?? ''].filter(Boolean).join(' and ')
  const fixedOperators = {
    trgm: 'gin_trgm_ops',
    hnsw: 'vector_cosine_ops',
    gin: undefined,
    unique: undefined,
    btree: undefined,
  }
  const operatorClass = withOperators ? operators : fixedOperators[kind]
  return {
    kind,
    columns: withOperators ? [first] : list(inside),
    ...(operatorClass === undefined ? {} : { operators: operatorClass }),
    include: list(include),
    nullsNotDistinct: nnd !== undefined,
    ...(where === '' ? {} : { where }),
  }
}

function list(text: string): readonly string[] {
  return text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)
}

/** What stands between the first parenthesis and the one that closes it at the end. */
function inParentheses(text: string): string {
  const inner = /^\((.*)\)$/s.exec(text.trim())?.[1]
  if (inner === undefined) throw new Error(`Not in parentheses: ${text}`)
  return inner
}

/** Splits where no parenthesis, brace, bracket or quote is open. */
export function splitTop(text: string, separator: string): readonly string[] {
  const parts: string[] = []
  let depth = 0
  let quoted = false
  let part = ''
  for (const sign of text) {
    if (sign === "'") quoted = !quoted
    if (!quoted && '([{'.includes(sign)) depth++
    if (!quoted && ')]}'.includes(sign)) depth--
    if (sign === separator && depth === 0 && !quoted) {
      parts.push(part)
      part = ''
    } else part += sign
  }
  return [...parts, part]
}
