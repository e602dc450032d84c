/**
 * Text and JSON in which U+FFFD stands for what PostgreSQL stores nowhere (U+0000, halves of surrogate pairs). For what must be
 * kept although somebody else wrote it; what a client can mend is refused instead (`isStorableText`).
 */

export function storableText(text: string): string {
  return text.toWellFormed().replaceAll('\u0000', '\ufffd')
}

/** `JSON.stringify`, storable as jsonb. */
export function storableJson(value: unknown): string {
  // `JSON.stringify` escapes just these; a backslash of the text itself is two.
  const unstorable = /\\\\|\\u0000|\\ud[89a-f][\da-f]{2}/g
  return JSON.stringify(value).replace(unstorable, (found) => (found === '\\\\' ? found : '\ufffd'))
}
