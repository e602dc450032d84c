// The public surface of the SDK as text: every declaration that its doors export, and every one of ours that those
// mention. Kept in client-sdk/api-surface.txt, so that a reviewer sees when it moves. Reads the build
// (client-sdk/dist).
//
//   node scripts/api-surface.ts            fails when the surface differs from the file
//   node scripts/api-surface.ts --update   writes the file
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const DIST = join(ROOT, 'client-sdk/dist')
const FILE = join(ROOT, 'client-sdk/api-surface.txt')

const surface = describeDoors(doors())
if (process.argv.includes('--update')) {
  writeFileSync(FILE, surface)
} else if (!existsSync(FILE) || readFileSync(FILE, 'utf8') !== surface) {
  const diff = spawnSync(
    'diff',
    ['-u', '--label', 'accepted', '--label', 'now', existsSync(FILE) ? FILE : '/dev/null', '-'],
    {
      input: surface,
      encoding: 'utf8',
    },
  )
  console.error(`The public surface of @tidewire/client has changed:\n${diff.stdout}`)
  process.exitCode = 1
}

/** The doors of the package as [export path, declaration file]. */
function doors(): readonly (readonly [string, string])[] {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'client-sdk/package.json'), 'utf8')) as {
    exports: Record<string, { types?: string } | string>
  }
  return Object.entries(manifest.exports).flatMap(([name, target]) =>
    typeof target === 'object' && target.types ? [[name, join(ROOT, 'client-sdk', target.types)] as const] : [],
  )
}

function describeDoors(entries: readonly (readonly [string, string])[]): string {
  const program = ts.createProgram(
    entries.map(([, file]) => file),
    {
      module: ts.ModuleKind.NodeNext,
      moduleResolution: ts.ModuleResolutionKind.NodeNext,
      skipLibCheck: true,
      noEmit: true,
    },
  )
  const checker = program.getTypeChecker()
  const seen = new Set<ts.Symbol>()
  const sections = entries.map(([name, file]) => {
    const source = program.getSourceFile(file)
    const module = source && checker.getSymbolAtLocation(source)
    if (!module) throw new Error(`${file} exports nothing. Run \`npm run build\` first.`)
    const exported = checker.getExportsOfModule(module).map((symbol) => unaliased(checker, symbol))
    for (const symbol of exported) seen.add(symbol)
    return { title: `@tidewire/client${name.slice(1)}`, exported }
  })
  const mentioned: ts.Symbol[] = []
  const queue = sections.flatMap(({ exported }) => exported)
  for (const symbol of queue) {
    for (const other of mentions(checker, symbol)) {
      if (seen.has(other)) continue
      seen.add(other)
      mentioned.push(other)
      queue.push(other)
    }
  }
  const parts = [...sections, { title: 'Not exported, but mentioned by the above', exported: mentioned }]
  return parts.map(({ title, exported }) => `# ${title}\n\n${exported.map(text).toSorted().join('\n')}\n`).join('\n')
}

function unaliased(checker: ts.TypeChecker, symbol: ts.Symbol): ts.Symbol {
  return symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol
}

/** Symbols declared at the top of a file of ours that the declarations of a symbol name. */
function mentions(checker: ts.TypeChecker, symbol: ts.Symbol): readonly ts.Symbol[] {
  const found: ts.Symbol[] = []
  const visit = (node: ts.Node): void => {
    const named = ts.isIdentifier(node) ? checker.getSymbolAtLocation(node) : undefined
    const target = named && unaliased(checker, named)
    if (target?.declarations?.some(isOurs)) found.push(target)
    ts.forEachChild(node, visit)
  }
  for (const declaration of symbol.declarations ?? []) if (isOurs(declaration)) visit(declaration)
  return found
}

function isOurs(declaration: ts.Declaration): boolean {
  // Names of files and of built-in globals have no parent.
  const owner: ts.Node | undefined = ts.isVariableDeclaration(declaration)
    ? declaration.parent.parent.parent
    : declaration.parent
  return owner !== undefined && ts.isSourceFile(owner) && owner.fileName.startsWith(DIST)
}

/**
 * A symbol's declarations as the compiler prints them, without comments; a sentence in a type is only `string` here.
 */
function text(symbol: ts.Symbol): string {
  const printer = ts.createPrinter({ removeComments: true })
  const print = (declaration: ts.Declaration): string => {
    const statement = ts.isVariableDeclaration(declaration) ? declaration.parent.parent : declaration
    const printed = printer.printNode(ts.EmitHint.Unspecified, statement, declaration.getSourceFile())
    return printed.replace(/^export (declare )?/, '').replace(/(["'])(?:\\.|(?!\1).)* (?:\\.|(?!\1).)*\1/g, 'string')
  }
  return [...new Set((symbol.declarations ?? []).map(print))].join('\n')
}
