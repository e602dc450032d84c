// The embedded database is Postgres 18, the servers that are promised are 17: SQL of the server and its migrations has
// nothing that only 18 knows.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What came with Postgres 18 and would be written by accident. */
const only18 = [
  /(?<!sync\.)\buuidv[47]\s*\(/i,
  /\breturning\s+(with\s*\(|(old|new)\.\w)/i,
  /\bgenerated\s+always\s+as\s*\([^;]*\)\s+virtual\b/i,
  /\bwithout\s+overlaps\b/i,
  /\b(not\s+null|check\s*\([^)]*\)|foreign\s+key[^;]*)\s+not\s+enforced\b/i,
  /\b(casefold|array_sort|array_reverse|crc32c?)\s*\(/i,
]

const files = ['server', 'migrations'].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('node_modules'))
    .map((name) => join(folder, name)),
)

/** Without comments, so that they may say what they do not use. */
const codeOf = (file: string): string =>
  readFileSync(join(root, file), 'utf8').replaceAll(/\/\*[\s\S]*?\*\/|^\s*(\/\/|--).*$/gm, '')

test('no SQL needs Postgres 18', () => {
  expect(files.length).toBeGreaterThan(100)
  const found = files.flatMap((file) =>
    only18.filter((words) => words.test(codeOf(file))).map((words) => `${file}: ${String(words)}`),
  )
  expect(found).toEqual([])
})

test.for(['select uuidv7()', 'update t set a = 1 returning old.a, new.a', 'a int generated always as (b + 1) virtual'])(
  '“%s” would be found',
  (sql) => {
    expect(only18.some((words) => words.test(sql))).toBe(true)
  },
)
