import { describe, expect, test } from 'vitest'
import { loadCatalog } from '../../server/catalog/catalog.ts'
import { scopeText } from '../../server/catalog/scope-text.ts'
import { tableSpec, toColumnName, type TableSpec } from '../../server/entities/define.ts'
import * as enums from '../../server/entities/enums.ts'
import { allColumns, isLog, mixinColumns } from '../support/schema-ddl.ts'
import { parseSchema, readSchemaPage, type DocTable } from '../support/schema-notation.ts'

const page = readSchemaPage()
const catalog = loadCatalog()

test('docs/schema.md has every table that the entities declare, and no other', () => {
  expect(page.tables.map(({ name }) => name).toSorted()).toEqual([...catalog.byName.keys()].toSorted())
})

test('its named lists of values are those of the code', () => {
  const inCode = Object.values(enums).map((values) => values.join())
  const onPage = [...page.enums.values()].map((values) => values.join())
  expect(onPage.filter((values) => !inCode.includes(values))).toEqual([])
})

/** Columns by class as the declaration has them, without what the mixins bring. */
function classesOf(spec: TableSpec, doc: DocTable): Readonly<Record<string, readonly string[]>> {
  const own = new Set(doc.columns.map(({ name }) => name))
  const listed = Object.entries(spec.classes ?? {}).map(
    ([name, properties]) => [name, properties.map(toColumnName)] as const,
  )
  const server = Object.entries(spec.columns)
    .filter(([property, column]) => column.spec.server && own.has(toColumnName(property)))
    .map(([property]) => toColumnName(property))
  const hidden = Object.entries(spec.columns)
    .filter(([, column]) => column.spec.hidden)
    .map(([property]) => toColumnName(property))
  const classes = new Map<string, readonly string[]>(listed)
  if (server.length > 0) classes.set('server', [...(classes.get('server') ?? []), ...server])
  if (hidden.length > 0) classes.set('hidden', hidden)
  const guarded = Object.entries(spec.guards ?? {})
    .flatMap(([property, guard]) => [property, ...(guard?.kind === 'role' ? (guard.with ?? []) : [])])
    .map(toColumnName)
  if (guarded.length > 0) classes.set('guarded', guarded)
  return sortedLists(Object.fromEntries(classes))
}

function sortedLists(lists: Readonly<Record<string, readonly string[]>>): Readonly<Record<string, readonly string[]>> {
  return Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, [...new Set(list)].toSorted()]))
}

describe.each(page.tables.map((doc) => [doc.name, doc] as const))('%s', (name, doc) => {
  const spec = tableSpec(name)

  test('has the scope, direction, writers and policy of the page', () => {
    expect({
      scope: scopeText(spec.scope, doc.mixins.includes('S0') || doc.mixins.includes('R0')),
      direction: spec.direction,
      writers: spec.writers ?? [],
      policy: spec.policy,
    }).toEqual({ scope: doc.scope, direction: doc.direction, writers: doc.writers, policy: doc.policy })
  })

  test('has the columns of the page, in its order', () => {
    const own = doc.columns.map((column) => column.name)
    const declared = Object.keys(spec.columns).map(toColumnName)
    const mixed = allColumns(doc).map((column) => column.name)
    expect(declared.filter((column) => own.includes(column))).toEqual(own)
    expect(declared.toSorted()).toEqual([...new Set(mixed)].toSorted())
  })

  test('has the column classes of the page', () => {
    expect(classesOf(spec, doc)).toEqual(sortedLists(doc.fields))
  })

  test('has its mixin columns filled by the server', () => {
    const mixed = doc.mixins
      .filter((mixin) => mixin !== 'X')
      .flatMap((mixin) => mixinColumns[mixin].map((column) => column.name))
    const clients = Object.entries(spec.columns)
      .filter(([property, column]) => mixed.includes(toColumnName(property)) && !column.spec.server)
      .map(([property]) => toColumnName(property))
    // When something happened is known where it happened.
    expect(clients.filter((column) => !(isLog(doc) && column === 'occurred_at'))).toEqual([])
  })
})

describe('the notation', () => {
  const block = (text: string): readonly DocTable[] => parseSchema(text, new Map([['mood', ['calm', 'stormy']]]))

  test('reads a table', () => {
    expect(
      block(`notes [S A] project(project_id)|org · rw member,agent · merge -- what people write down
  title text! len(1,80); mood text! =calm enum(mood); pages integer ck(pages >= 1); by uuid -> users N author; at timestamptz! =now
  words tsvector gen(to_tsvector('english'::regconfig, coalesce(title, '')))
  UQ (organization_id, title) nnd live; IX (mood) include (title) where mood <> 'calm'; GIN (words); GIN (extra jsonb_path_ops); CK (pages is null or title <> ';')
  FIELDS server: at; fixed: title,mood`),
    ).toEqual([
      {
        name: 'notes',
        module: '',
        mixins: ['S', 'A'],
        scope: 'project(project_id)|org',
        direction: 'rw',
        writers: ['member', 'agent'],
        policy: 'merge',
        purpose: 'what people write down',
        columns: [
          { name: 'title', type: 'text', notNull: true, length: [1, 80] },
          { name: 'mood', type: 'text', notNull: true, default: 'calm', values: ['calm', 'stormy'] },
          { name: 'pages', type: 'integer', notNull: false, check: 'pages >= 1' },
          {
            name: 'by',
            type: 'uuid',
            notNull: false,
            references: { table: 'users', onDelete: 'set null' },
            author: true,
          },
          { name: 'at', type: 'timestamptz', notNull: true, default: 'now' },
          {
            name: 'words',
            type: 'tsvector',
            notNull: false,
            generated: "to_tsvector('english'::regconfig, coalesce(title, ''))",
          },
        ],
        indexes: [
          {
            kind: 'unique',
            columns: ['organization_id', 'title'],
            include: [],
            nullsNotDistinct: true,
            where: 'deleted_at is null',
          },
          { kind: 'btree', columns: ['mood'], include: ['title'], nullsNotDistinct: false, where: "mood <> 'calm'" },
          { kind: 'gin', columns: ['words'], include: [], nullsNotDistinct: false },
          { kind: 'gin', columns: ['extra'], operators: 'jsonb_path_ops', include: [], nullsNotDistinct: false },
        ],
        checks: ["pages is null or title <> ';'"],
        fields: { server: ['at'], fixed: ['title', 'mood'] },
      },
    ])
  })

  test.each([
    ['a header without policy', 'notes [S] org · rw member', 'No header'],
    ['an unknown mixin', 'notes [Q] org · rw member · merge', 'No mixin Q'],
    ['a word it does not know', 'notes [S] org · rw member · merge\n  title text! maybe', 'Not understood: maybe'],
    ['an enum that is not listed', 'notes [S] org · rw member · merge\n  title text! enum(colours)', 'No enum colours'],
    ['a foreign key without rule', 'notes [S] org · rw member · merge\n  by uuid -> users', 'No delete rule'],
  ])('refuses %s', (_, text, message) => {
    expect(() => block(text)).toThrow(message)
  })
})
