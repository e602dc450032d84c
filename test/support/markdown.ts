import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** A page of Markdown; `path` is relative to the root. */
export interface Page {
  readonly path: string
  readonly text: string
}

/** A fenced block of one language, with the HTML comment `<!-- ts … -->` above it that readers do not see. */
export interface CodeBlock {
  /** Of the first line inside the fence, from 1. */
  readonly line: number
  readonly code: string
  readonly preamble: string
  readonly preambleLine: number
}

/** The README and everything under docs/. */
export function pages(): readonly Page[] {
  const docs = readdirSync(join(root, 'docs')).filter((name) => name.endsWith('.md'))
  return ['README.md', ...docs.map((name) => `docs/${name}`)].map(readPage)
}

export function readPage(path: string): Page {
  return { path, text: readFileSync(join(root, path), 'utf8') }
}

export function codeBlocks({ text }: Page, language: string): readonly CodeBlock[] {
  const pattern = new RegExp(`(?:^<!-- ts\\n([\\s\\S]*?)-->\\n+)?^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm')
  return [...text.matchAll(pattern)].map((match) => {
    const [whole, preamble = '', code = ''] = match
    const start = match.index
    const codeAt = start + whole.length - '```'.length - code.length
    return { code, preamble, line: lineAt(text, codeAt), preambleLine: lineAt(text, start) + 1 }
  })
}

/**
 * A block as a module of its own, on the lines that it has in its page, so that an error of the compiler names the line
 * of the page.
 */
export function moduleOf({ code, line, preamble, preambleLine }: CodeBlock): string {
  const above = preamble === '' ? '' : '\n'.repeat(preambleLine - 1) + preamble
  const between = '\n'.repeat(line - 1 - above.split('\n').length + 1)
  return `${above}${between}${code}export {}\n`
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length
}
