import type { Json } from './row.ts'

/** JSON of more characters than this is not kept. */
const maxLength = 16_384
const maxDepth = 20
const secretKey = /secret|passw|token|api[-_]?key|private[-_]?key|authorization|credential|cookie/i
/** Bearer tokens, URLs with a password, keys as providers write them, PEM. */
const secretText =
  /\bBearer\s+\S+|:\/\/[^/\s:@]+:[^/\s@]+@|\b(?:sk|pk|ghp|gho|ghs|xox[abp]|tw|twr|twi)[-_][\w-]{12,}|-----BEGIN [A-Z ]*PRIVATE KEY-----/

/**
 * What of a tool's parameters or result may be kept: nothing under a key, or of a form, that is known for secrets, and
 * not too much.
 */
export function redact(value: Json): Json {
  const clean = cleaned(value, 0)
  const length = JSON.stringify(clean).length
  return length <= maxLength ? clean : { omitted: `${length} characters` }
}

function cleaned(value: Json, depth: number): Json {
  if (depth > maxDepth) return '[deeper]'
  if (typeof value === 'string') return secretText.test(value) ? '[redacted]' : value
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return value.map((item: Json) => cleaned(item, depth + 1))
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, secretKey.test(key) ? '[redacted]' : cleaned(item, depth + 1)]),
  )
}
