// The rules of the house as pure functions over files: each returns one sentence per violation, none when all is well.
import { codeOf, importsOf, type SourceFile } from './source-file.ts'

/**
 * For each room, the rooms it may import (types too). `*` is every room. Files directly in server/ and client-sdk/ are
 * rooms of one.
 */
export type Arrows = { readonly [room: string]: readonly string[] }

type Rule = (files: readonly SourceFile[]) => readonly string[]

const HOUSES = ['server', 'client-sdk']

/** `server/hub/reader.ts` → `server/hub`; `server/config.ts` → `server/config`; undefined outside the two houses. */
export function roomOf(path: string): string | undefined {
  const [house = '', room] = path.split('/')
  return HOUSES.includes(house) && room !== undefined ? `${house}/${room.replace(/\.tsx?$/, '')}` : undefined
}

/** Rooms import only what the arrows allow; free rooms (protocol, lib) import no room. */
export function followsArrows(arrows: Arrows): Rule {
  return (files) =>
    files.flatMap((file) => {
      const from = roomOf(file.path) ?? file.path.split('/')[0] ?? ''
      const allowed = arrows[from]
      if (allowed === undefined) return [`${file.path}: the room ${from} has no line in ARROWS`]
      return importsOf(file).flatMap(({ target }) => {
        const to = roomOf(target)
        if (to === undefined || to === from || allowed.includes('*') || allowed.includes(to)) return []
        return [`${file.path} imports ${target}: no arrow ${from} → ${to}`]
      })
    })
}

/** Rooms that the arrows name and that have no file. */
export function missingRooms(arrows: Arrows, paths: readonly string[]): readonly string[] {
  const rooms = new Set(paths.map((path) => roomOf(path) ?? path.split('/')[0]))
  const named = Object.entries(arrows).flatMap(([from, to]) => [from, ...to])
  return [...new Set(named)].filter((room) => room !== '*' && !rooms.has(room)).toSorted()
}

/** The arrows themselves form no circle, so that rooms can be read one after the other. */
export function arrowCircles(arrows: Arrows): readonly string[] {
  const graph = new Map(Object.entries(arrows).map(([room, targets]) => [room, targets.filter((to) => to !== '*')]))
  return circles(graph)
}

/**
 * From outside, a room is entered by the file with its name, or by one of its side doors. Composers build from the
 * parts.
 */
export function usesDoors(sideDoors: ReadonlySet<string>, composers: ReadonlySet<string>): Rule {
  return (files) =>
    files
      .filter(({ path }) => !composers.has(path))
      .flatMap((file) =>
        importsOf(file).flatMap(({ target }) => {
          const to = roomOf(target)
          if (to === undefined || to === roomOf(file.path) || sideDoors.has(target)) return []
          const name = to.split('/')[1] ?? ''
          const isDoor = [`${to}.ts`, `${to}.tsx`, `${to}/${name}.ts`, `${to}/${name}.tsx`].includes(target)
          return isDoor ? [] : [`${file.path} imports ${target}: go through ${to}/${name}.ts`]
        }),
      )
}

/** No file is longer than its cap in lines. */
export function fitsCap(capOf: (path: string) => number): Rule {
  return (files) =>
    files.flatMap(({ path, text }) => {
      const lines = text.replace(/\n$/, '').split('\n').length
      return lines > capOf(path) ? [`${path} has ${lines} lines, the cap is ${capOf(path)}: move a pure part out`] : []
    })
}

/** No line of comment goes beyond so many columns, but one long word (a URL); the formatter leaves comments alone. */
export function wrapsComments(columns: number, covers: (path: string) => boolean): Rule {
  return (files) =>
    files.flatMap(({ path, text }) =>
      text.split('\n').flatMap((line, index) => {
        const isLong = line.length > columns && /^\s*(\/\/|\/?\*+) \S+ /.test(line)
        return isLong && covers(path) ? [`${path}:${index + 1} has a comment beyond column ${columns}: wrap it`] : []
      }),
    )
}

/** A pattern occurs in code (not in comments or quoted strings) only in the files that `allowed` accepts. */
export function onlyIn(what: string, pattern: RegExp, allowed: (path: string) => boolean, instead: string): Rule {
  return (files) =>
    files.flatMap(({ path, text }) => {
      const found = allowed(path) ? null : pattern.exec(codeOf(text, { strings: false }))
      return found ? [`${path} uses ${found[0].trim()}: ${what} is ${instead}`] : []
    })
}

/**
 * What Postgres says of an error may quote rows. `String(error)` and the message of an error of unknown kind are for
 * who asked, never for a log.
 */
const UNKNOWN_TEXT =
  /(?<!new Error\()\bString\((?:error|cause|reason|err|e)\)|\b(\w+) instanceof Error \? \1\.message\b|\blog\.(?:error|info|debug)\((?:[^()]|\([^()]*\))*?\b\w+\??\.message\b/

/** Errors reach logs and records by `errorText` alone, but for the files that read their text for another reason. */
export function tellsErrorsByText(otherwise: ReadonlySet<string>): Rule {
  return onlyIn(
    'the text of an unknown error',
    UNKNOWN_TEXT,
    (path) => !path.startsWith('server/') || path.startsWith('server/cli/') || otherwise.has(path),
    'told by errorText or errorStack of server/telemetry, which leave out the values of rows',
  )
}

/** Packages whose name matches are imported only by the files that `allowed` accepts. */
export function importedOnlyBy(name: RegExp, allowed: (path: string) => boolean): Rule {
  return (files) =>
    files.flatMap((file) =>
      importsOf(file)
        .filter(({ target }) => name.test(target) && !allowed(file.path))
        .map(({ target }) => `${file.path} imports ${target}, which is not for this room`),
    )
}

/**
 * What the door loads at once (static imports, followed) has none of these modules. Types are erased; `import()` is a
 * choice.
 */
export function loadsWithout(door: string, modules: RegExp, who: string): Rule {
  return (files) => {
    const byPath = new Map(files.map((file) => [file.path, file]))
    const reached = new Set([door])
    const violations: string[] = []
    for (const path of reached) {
      const file = byPath.get(path)
      for (const { target, kind } of file ? importsOf(file) : []) {
        if (kind !== 'static') continue
        if (modules.test(target)) violations.push(`${path} imports ${target}, and ${door} brings it to ${who}`)
        else reached.add(target)
      }
    }
    return violations
  }
}

/** Files do not import each other in a circle (types count). */
export function hasNoCircles(files: readonly SourceFile[]): readonly string[] {
  const paths = new Set(files.map(({ path }) => path))
  const targets = (file: SourceFile) => importsOf(file).flatMap(({ target }) => (paths.has(target) ? [target] : []))
  return circles(new Map(files.map((file) => [file.path, targets(file)])))
}

/** Names that say nothing: grab bags, and barrels. */
export function hasNames(allowed: ReadonlySet<string>): Rule {
  const empty = /(\/(common|misc|shared|types|index)|[/-](utils?|helpers?|managers?|impl))(\.tsx?$|\/)/
  return (files) =>
    files.flatMap(({ path }) =>
      empty.test(path) && !allowed.has(path) ? [`${path}: name it after what is inside`] : [],
    )
}

/** Each circle of a graph once, as `a → b → a`. */
function circles(graph: ReadonlyMap<string, readonly string[]>): readonly string[] {
  const found: string[] = []
  const done = new Set<string>()
  const walk = (node: string, trail: readonly string[]): void => {
    const start = trail.indexOf(node)
    if (start >= 0) found.push([...trail.slice(start), node].join(' → '))
    if (start >= 0 || done.has(node)) return
    for (const next of graph.get(node) ?? []) walk(next, [...trail, node])
    done.add(node)
  }
  for (const node of graph.keys()) walk(node, [])
  return found
}
