import { expect, test } from 'vitest'
import { foundSchema, welcomeSchema } from '../../protocol/messages/down.ts'
import { helloSchema } from '../../protocol/messages/up.ts'
import { readPage } from '../support/markdown.ts'

const page = readPage('docs/protocol.md').text

test.each([
  ['hello', helloSchema],
  ['welcome', welcomeSchema],
  ['found', foundSchema],
] as const)('docs/protocol.md has every field of %s, and no other', (name, schema) => {
  const [, table = ''] = new RegExp(`^\\| \`${name}\` \\|.*\\n\\|[-|]+\\n((?:\\|.*\\n)+)`, 'm').exec(page) ?? []
  const documented = [...table.matchAll(/^\| ([^|]+) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`(\w+)`/g)].map(([, field = '']) => field),
  )
  const fields = Object.keys(schema.shape).filter((field) => field !== 'type')
  expect(documented.toSorted()).toEqual(fields.toSorted())
})
