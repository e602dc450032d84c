// What the architecture test knows of a source file: its path, its text, and what it imports. Regular expressions are
// enough for that: the formatter keeps imports in one shape.

/** A file of the project. `path` is relative to the root, with forward slashes. */
export type SourceFile = { readonly path: string; readonly text: string }

/**
 * One import, re-export or dynamic import. `target` is a path from the root for our files, else the specifier as
 * written.
 */
export type Import = { readonly target: string; readonly kind: 'static' | 'type' | 'dynamic' }

const COMMENT_OR_STRING = /("(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`)|\/\/[^\n]*|\/\*[\s\S]*?\*\//g
const STATIC = /(?:^|[;\n])\s*(?:import|export)\s+(type\s+)?(?:[^'";]*?\sfrom\s*)?['"]([^'"\n]+)['"]/g
const DYNAMIC = /\bimport\(\s*['"]([^'"\n]+)['"]/g

/** Our own packages by name, as the file behind their door. */
const PACKAGES: Readonly<Record<string, string>> = {
  '@tidewire/client': 'client-sdk/index.ts',
  '@tidewire/client/testing': 'client-sdk/testing/testing.ts',
  tidewire: 'server/server.ts',
}

/**
 * The text without comments; with `strings: false`, quoted strings are emptied as well (templates stay: they hold
 * code).
 */
export function codeOf(text: string, { strings = true } = {}): string {
  return text.replace(COMMENT_OR_STRING, (_, string: string | undefined) => {
    if (string === undefined) return ''
    return strings || string.startsWith('`') ? string : `''`
  })
}

/** Everything a file imports, in order. */
export function importsOf(file: SourceFile): readonly Import[] {
  const code = codeOf(file.text)
  const statics = [...code.matchAll(STATIC)].map(([, type, specifier = '']) => ({
    target: resolve(file.path, specifier),
    kind: type ? ('type' as const) : ('static' as const),
  }))
  const dynamics = [...code.matchAll(DYNAMIC)].map(([, specifier = '']) => ({
    target: resolve(file.path, specifier),
    kind: 'dynamic' as const,
  }))
  return [...statics, ...dynamics]
}

function resolve(from: string, specifier: string): string {
  if (!specifier.startsWith('.')) return PACKAGES[specifier] ?? specifier
  const parts = from.split('/').slice(0, -1)
  for (const part of specifier.split('/')) {
    if (part === '..') parts.pop()
    else if (part !== '.') parts.push(part)
  }
  return parts.join('/')
}
