import { expect, test } from 'vitest'
import { readPage } from '../support/markdown.ts'

test('decisions are numbered without gaps, the newest first, each with its date', () => {
  const entries = readPage('docs/decisions.md').text.split(/^## /m).slice(1)
  const heads = entries.map((entry) => /^(\d+)\. .+\n\n\d{4}-\d{2}-\d{2}\.\n/.exec(entry)?.[1])
  expect(heads).toEqual(entries.map((_, index) => String(entries.length - index)))
})
