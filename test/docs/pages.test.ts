import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, test } from 'vitest'
import type { SyncState } from '@tidewire/client'
import { assess } from '../../server/telemetry/health.ts'
import { healthy, metricsOfNobody } from '../support/metrics.ts'
import { onPostgresToo } from '../support/on-postgres-too.ts'
import { pages, readPage } from '../support/markdown.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const readme = readPage('README.md').text
const text = (path: string): string => readFileSync(join(root, path), 'utf8')

/** As GitHub makes them of headings. */
function anchorsOf(markdown: string): readonly string[] {
  return [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s-]/gu, '')
      .replaceAll(' ', '-'),
  )
}

test.each(pages())('every link of $path leads somewhere', ({ path, text: markdown }) => {
  const prose = markdown.replace(/^```[\s\S]*?^```$/gm, '')
  const links = [...prose.matchAll(/\]\((?!https?:)([^)\s#]*)(?:#([^)\s]*))?\)/g)]
  for (const [whole, file = '', anchor] of links) {
    const target = file === '' ? path : join(dirname(path), file)
    expect(existsSync(join(root, target)), `${whole} in ${path}`).toBe(true)
    if (anchor !== undefined) expect(anchorsOf(text(target)), `${whole} in ${path}`).toContain(anchor)
  }
})

test.each(pages())('$path has nothing that a merge left open', ({ text: markdown }) => {
  expect(markdown.match(/^(?:<{7}|={7}|>{7})(?: .*)?$/gm)).toBeNull()
})

test.each([
  ['docs/architecture.md', 8],
  ['docs/acceptance.md', 60],
])('every test that %s quotes exists under that title', (path, least) => {
  // Several titles may stand before the file that has them.
  const quoted = [...text(path).matchAll(/((?:“[^”]+”,?\s+)+)\(`(test\/[^`]+)`/g)].flatMap(
    ([, titles = '', file = '']) => [...titles.matchAll(/“([^”]+)”/g)].map(([, title = '']) => ({ title, file })),
  )
  expect(quoted.length).toBeGreaterThanOrEqual(least)
  expect(text(path).match(/“/g)).toHaveLength(quoted.length)
  const missing = quoted.filter(({ title, file }) => !new RegExp(`['"\`]${RegExp.escape(title)}`).test(text(file)))
  expect(missing).toEqual([])
})

test('the README says no figure of speed that docs/performance.md does not publish', () => {
  const cells = (markdown: string): string[][] =>
    [...markdown.matchAll(/^\|(.*)\|$/gm)].map(([, row = '']) => row.split('|').map((cell) => cell.trim()))
  const said = cells(readme.slice(readme.indexOf('| workload, Postgres'), readme.indexOf('`npm run bench` measures')))
  const numbers = (cell: string): readonly string[] => cell.match(/\d[\d,]*(?:\.\d+)?/g) ?? []
  const published = new Set(cells(text('docs/performance.md')).flat().flatMap(numbers))
  expect(said.length).toBeGreaterThan(7)
  for (const [what = '', measured = ''] of said.slice(2))
    for (const figure of numbers(measured)) expect([...published], `${figure} of “${what}”`).toContain(figure)
})

test('docs/acceptance.md answers each of the 60 criteria', () => {
  const answers = [
    ...text('docs/acceptance.md').matchAll(/^(\d+)\. .*?(Proven: “|Partly: “|Not built yet|Measured, not tested)/gm),
  ]
  expect(answers.map(([, number]) => Number(number))).toEqual(Array.from({ length: 60 }, (_, index) => index + 1))
})

test('docs/acceptance.md proves each criterion on both databases, or says why not', () => {
  const isContract = (file: string): boolean => file.endsWith('-contract.ts')
  const onPostgres = (file: string): boolean =>
    isContract(file) || file.endsWith('.pg.test.ts') || onPostgresToo.some((one) => one === file)
  const embedded = (file: string): boolean => isContract(file) || /\.(pglite|e2e)\.test\.ts$/.test(file)
  const lines = [...text('docs/acceptance.md').matchAll(/^(\d+)\. (.*(?:Proven|Partly): “.*)$/gm)]
  expect(lines.length).toBeGreaterThan(50)
  const wrong = lines.flatMap(([, number, line = '']) => {
    const files = [...line.matchAll(/\(`(test\/[^`]+)`/g)].map(([, file = '']) => file)
    const reason = /\*(No database|Postgres alone|Embedded alone):\*/.exec(line)?.[1]
    const wanted =
      files.some(onPostgres) && files.some(embedded)
        ? undefined
        : files.some(onPostgres)
          ? 'Postgres alone'
          : files.some(embedded) && reason !== 'No database'
            ? 'Embedded alone'
            : 'No database'
    return reason === wanted ? [] : [`${number}: ${reason ?? 'no reason'}, should be ${wanted ?? 'none'}`]
  })
  expect(wrong).toEqual([])
  expect(onPostgresToo.filter((file) => !existsSync(join(root, file)))).toEqual([])
})

describe('the README', () => {
  test('lists every setting once, with its default', () => {
    const config = text('server/config.ts')
    const declared = config.slice(config.indexOf('const variables = {'), config.indexOf('const environment ='))
    const settings = [...declared.matchAll(/^ {2}([A-Z_]+):([\s\S]*?)(?=^ {2}[A-Z_]+:|^\})/gm)].map(
      ([, name, rest]) => {
        const value = /\.default\('?([^')]*)'?\)/.exec(rest ?? '')?.[1]
        return [name, value]
      },
    )
    const listed = [...readme.matchAll(/^\| `([A-Z_]+)` \| (.*?) \|/gm)].map(([, name, cell]) => [name, cell] as const)
    expect(listed).toHaveLength(settings.length)
    const cells = new Map(listed)
    expect(new Set(cells.keys())).toEqual(new Set(settings.map(([name]) => name)))
    const wrong = settings.filter(([name, value]) => value !== undefined && cells.get(name) !== `\`${value}\``)
    expect(wrong).toEqual([])
  })

  test('lists every command', () => {
    const files = readdirSync(join(root, 'server/cli/commands')).map((name) => text(`server/cli/commands/${name}`))
    const declared = [...files.join('\n').matchAll(/\.command\(\s*'([a-z]+)',\s*'[^']+',?\s*\)/g)].map(
      ([, name]) => name,
    )
    expect(declared.length).toBeGreaterThan(8)
    const section = readme.slice(readme.indexOf('## Commands'), readme.indexOf('## Settings'))
    for (const name of declared) expect(section).toMatch(new RegExp(`\`${name}\\b`))
  })
})

test('docs/operations.md explains every line of the log, and every metric', () => {
  const page = text('docs/operations.md')
  const files = readdirSync(join(root, 'server'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.ts'),
  )
  const lines = files.flatMap((path) =>
    [...text(join('server', path)).matchAll(/\blog\.(?:error|info|debug)\(\s*'([^']+)'/g)].map(([, line = '']) => line),
  )
  expect(lines.length).toBeGreaterThan(10)
  for (const line of lines) expect(page).toContain(line)
  const section = page.slice(page.indexOf('## Metrics'), page.indexOf('### Alerts'))
  const rows = [...section.matchAll(/^\| (`tidewire_.*?) \|/gm)].map(([, first = '']) => first)
  const explained = rows.flatMap((first) => [...first.matchAll(/`(tidewire_\w+)/g)].map(([, name]) => name))
  const { names } = metricsOfNobody()
  expect(new Set(explained)).toEqual(new Set(names))
  expect(explained).toHaveLength(names.length)
})

test('docs/operations.md says of every part of the health what it measures, and what to do', () => {
  const slot = {
    name: 's',
    active: true,
    state: 'reserved',
    retainedBytes: 0,
    keepBytes: null,
    written: 0,
    captured: 0,
  }
  const parts = assess({ ...healthy, slot, redis: { ok: true, detail: '' } }).checks.map(({ name }) => name)
  const page = text('docs/operations.md')
  const told = (from: string, to: string): readonly string[] =>
    [...page.slice(page.indexOf(from), page.indexOf(to)).matchAll(/^\| `(\w+)` \|/gm)].map(([, name = '']) => name)
  expect(told('| part | measured', 'The canary is')).toEqual(parts)
  expect(told('| part | most often', 'The checks of')).toEqual(parts)
})

test('docs/sdk.md lists every status of a row', () => {
  const statuses: Readonly<Record<SyncState['status'], true>> = {
    synced: true,
    local: true,
    syncing: true,
    acknowledged: true,
    conflict: true,
    rejected: true,
  }
  const [, list = ''] = /carries `\$sync`: `status` \(([^)]*)\)/.exec(text('docs/sdk.md')) ?? []
  expect([...list.matchAll(/`(\w+)`/g)].map(([, status]) => status)).toEqual(Object.keys(statuses))
})
