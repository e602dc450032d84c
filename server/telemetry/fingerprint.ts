import { createHash } from 'node:crypto'

/** A statement without the values in it. */
export interface Fingerprint {
  /**
   * Equal for statements that differ in values, in how many values a list has, and in white space. 16 hexadecimal
   * digits.
   */
  readonly id: string
  /** The statement with a parameter in the place of every literal, in one line; at most `sampleLength` characters. */
  readonly sample: string
}

const sampleLength = 4000
/** Of longer statements the rest says nothing more. */
const readLength = 20_000

/** Comments, dollar-quoted and quoted strings, quoted names, parameters, numbers (not in names). */
const tokens =
  /--[^\n]*|\/\*[\s\S]*?\*\/|\$([A-Za-z_]\w*)?\$[\s\S]*?\$\1\$|[eE]?'(?:[^'\\]|''|\\[\s\S])*'|"(?:[^"]|"")*"|\$\d+|(?<![\w.$])\d+(?:\.\d+)?(?:e[+-]?\d+)?/g

export function fingerprint(statement: string): Fingerprint {
  const text = statement.slice(0, readLength)
  let last = Math.max(0, ...[...text.matchAll(/\$(\d{1,5})\b/g)].map(([, number]) => Number(number)))
  const sample = text
    .replace(tokens, (token) => {
      if (token.startsWith('--') || token.startsWith('/*')) return ' '
      if (token.startsWith('"') || /^\$\d+$/.test(token)) return token
      return `$${++last}`
    })
    .replaceAll(/\s+/g, ' ')
    .trim()
  const shape = sample
    .toLowerCase()
    .replaceAll(/\$\d+/g, '?')
    .replaceAll(/\(\s*\?(?:\s*,\s*\?)*\s*\)/g, '(?)')
    .replaceAll(/\(\?\)(?:\s*,\s*\(\?\))+/g, '(?)')
  return { id: createHash('sha256').update(shape).digest('hex').slice(0, 16), sample: sample.slice(0, sampleLength) }
}
