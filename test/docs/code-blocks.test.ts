import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { codeBlocks, moduleOf, pages } from '../support/markdown.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const compiler = join(root, 'node_modules/@typescript/native/bin/tsc')

let folder: string

beforeAll(async () => {
  await mkdir(join(root, '.cache'), { recursive: true })
  // Inside the checkout, so that `@tidewire/client` is found as in any file here.
  folder = await mkdtemp(join(root, '.cache/code-blocks-'))
})

afterAll(async () => {
  await rm(folder, { recursive: true, force: true })
})

/** Compiles modules against the real types; answers what the compiler says, nothing when all is well. */
async function complaints(modules: Readonly<Record<string, string>>): Promise<string> {
  const here = await mkdtemp(join(folder, 'run-'))
  // Examples leave out what does not concern them: unused names are no mistake there.
  const compilerOptions = {
    noUnusedLocals: false,
    noUnusedParameters: false,
    rewriteRelativeImportExtensions: false,
    allowImportingTsExtensions: true,
    rootDir: root,
    types: ['node'],
    paths: { '#root/*': [`${root}*`] },
  }
  const config = { extends: join(root, 'tsconfig.json'), compilerOptions, include: ['*.ts', '*.tsx'], exclude: [] }
  await writeFile(join(here, 'tsconfig.json'), JSON.stringify(config))
  for (const [name, text] of Object.entries(modules)) await writeFile(join(here, name), text)
  try {
    await promisify(execFile)(process.execPath, [compiler, '--noEmit', '-p', here], { cwd: here })
    return ''
  } catch (error) {
    return (error as { readonly stdout: string }).stdout
  }
}

test('every ts block of the README and the docs compiles', async () => {
  const blocks = pages().flatMap((page) =>
    ['ts', 'tsx'].flatMap((language) =>
      codeBlocks(page, language).map((block) => [
        `${page.path.replaceAll('/', '.')}.${block.line}.${language}`,
        moduleOf(block),
      ]),
    ),
  )
  expect(blocks.length).toBeGreaterThan(10)
  expect(await complaints(Object.fromEntries(blocks) as Record<string, string>)).toBe('')
}, 180_000)

test('a block that names what does not exist is found, with its line', async () => {
  const text = `# Page\n\n<!-- ts\nimport type { Client } from '@tidewire/client'\ndeclare const tide: Client\n-->\n\`\`\`ts\nawait tide.tasks.update('id', { statsu: 'x' })\n\`\`\`\n`
  const [block] = codeBlocks({ path: 'page.md', text }, 'ts')
  if (block === undefined) throw new Error('The block was not found.')
  expect(await complaints({ 'page.ts': moduleOf(block) })).toMatch(/page\.ts\(8,33\).*statsu/)
}, 180_000)
