import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { errorCodes } from '../../protocol/error-codes.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const page = readFileSync(join(root, 'docs/errors.md'), 'utf8')
const codes = Object.keys(errorCodes)

/** The rows of the page's table: code, meaning, remedy. */
const rows = [...page.matchAll(/^\| `([a-z_]+)` \| (.*) \| (.*) \|$/gm)].map(([, code, meaning, remedy]) => [
  code,
  meaning,
  remedy,
])

test('docs/errors.md has every code with its meaning and remedy, and no other', () => {
  expect(rows).toEqual(Object.entries(errorCodes).map(([code, { meaning, remedy }]) => [code, meaning, remedy]))
})

test('codes are in alphabetical order', () => {
  expect(codes).toEqual(codes.toSorted((a, b) => (a < b ? -1 : 1)))
})

test('every code is used by the server, the client or the protocol', () => {
  const texts = ['server', 'client-sdk', 'protocol', 'lib'].flatMap(sources)
  expect(codes.filter((code) => !texts.some((text) => text.includes(`'${code}'`)))).toEqual([])
})

/** The texts of a part of the house, but for the catalogue itself. */
function sources(part: string): readonly string[] {
  return readdirSync(join(root, part), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !/(^|\/)(dist|node_modules|testing)\/|error-codes\.ts$/.test(path))
    .map((path) => readFileSync(join(root, part, path), 'utf8'))
}
