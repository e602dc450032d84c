/** A character of a pattern by code point, or one of these. */
const anyText = -2
const anyCharacter = -1

/**
 * Compiles a SQL pattern (`%`, `_`, escape `\`). `foldAscii` ignores the case of the letters A to Z and of no others.
 * Characters are code points, as in Postgres. Needs at most pattern × text steps: it returns to the last `%` only,
 * which is enough, so no pattern makes it slow.
 */
export function compileLike(pattern: string, foldAscii: boolean): (text: string) => boolean {
  const fold = foldAscii ? lower : same
  const tokens = tokensOf(pattern, fold)
  return (text) => matches(tokens, text, fold)
}

function matches(tokens: readonly number[], text: string, fold: (code: number) => number): boolean {
  let token = 0
  let place = 0
  let afterAny = -1
  let retryAt = 0
  while (place < text.length) {
    const code = text.codePointAt(place) ?? 0
    const expected = tokens[token]
    if (expected === anyText) {
      token++
      afterAny = token
      retryAt = place
    } else if (expected === anyCharacter || expected === fold(code)) {
      token++
      place += widthOf(code)
    } else if (afterAny >= 0) {
      token = afterAny
      retryAt += widthOf(text.codePointAt(retryAt) ?? 0)
      place = retryAt
    } else {
      return false
    }
  }
  while (tokens[token] === anyText) token++
  return token === tokens.length
}

function tokensOf(pattern: string, fold: (code: number) => number): number[] {
  const tokens: number[] = []
  let escaped = false
  for (const character of pattern) {
    const literal: boolean = escaped || (character !== '%' && character !== '_' && character !== '\\')
    if (literal) tokens.push(fold(character.codePointAt(0) ?? 0))
    else if (character === '%') tokens.push(anyText)
    else if (character === '_') tokens.push(anyCharacter)
    escaped = !literal && character === '\\'
  }
  return tokens
}

function widthOf(code: number): number {
  return code > 0xffff ? 2 : 1
}

function lower(code: number): number {
  return code >= 65 && code <= 90 ? code + 32 : code
}

function same(code: number): number {
  return code
}
