import { stem } from 'porter2'
import { stopWords } from './stop-words.ts'

/**
 * Words of letters, marks and digits, and what Postgres' parser takes together with them: signed numbers, words joined
 * by hyphens, and addresses, paths and versions (`node.js`, `src/index.ts`, `a@b.org`, `1.2.3`).
 */
const token = /-\p{N}+(?![\p{L}\p{N}.])|[\p{L}\p{M}\p{N}]+(?:[./@][\p{L}\p{M}\p{N}]+|-(?=\p{L})[\p{L}\p{M}\p{N}]+)*/gu

/** The server's index goes no further into a text. */
const mostCharacters = 250_000

/**
 * What a text is found by: the stems of its words but the most common, as `to_tsvector('english', text)` has them. Of
 * addresses Postgres knows more kinds; their parts may differ here.
 */
export function lexemesOf(text: string): ReadonlySet<string> {
  const lexemes = new Set<string>()
  for (const [found] of text.slice(0, mostCharacters).toLowerCase().matchAll(token)) {
    // Addresses and signed numbers are taken as they stand.
    if (found.startsWith('-') || /[./@]/u.test(found)) {
      lexemes.add(found)
      continue
    }
    const parts = found.split('-')
    for (const part of parts) if (!stopWords.has(part)) lexemes.add(stemOf(part))
    if (parts.length > 1) lexemes.add(stemOf(found))
  }
  return lexemes
}

/** Part of every word that has this lexeme: a stem may end otherwise than its words do (`die` of "dying"). */
export function startOf(lexeme: string): string {
  return /^\p{L}+$/u.test(lexeme) ? lexeme.slice(0, Math.max(1, lexeme.length - 2)) : lexeme
}

/**
 * "Adding" is of "add", and "egged" of "egg", in the algorithm that Postgres has since version 18, and not in the
 * library's.
 */
const shortDouble = /^([aeo](?:bb|dd|ff|gg|mm|nn|pp|rr|tt))(?:ed|ing)(?:ly)?s?$/u

function stemOf(word: string): string {
  if (/\p{N}/u.test(word)) return word
  return shortDouble.exec(word)?.[1] ?? stem(word)
}
