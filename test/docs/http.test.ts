import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { readPage } from '../support/markdown.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const source = (path: string): string => readFileSync(join(root, path), 'utf8')
const page = readPage('docs/http.md').text
const [http, signIn, webhooks] = [
  'server/gateway/http.ts',
  'server/gateway/sign-in-routes.ts',
  'server/integrations/routes.ts',
].map(source) as [string, string, string]

test('docs/http.md has every route of the server with its method, and no other', () => {
  const documented = [...page.matchAll(/^\| (GET|POST) \| `([^`]+)` \|/gm)].map(
    ([, method, path]) => `${method} ${path}`,
  )
  const get = [...http.matchAll(/^ {2}'(\/[^']*)': /gm)].map(([, path]) => `GET ${path}`)
  const post = [...signIn.matchAll(/^ +async '(\/[^']*)'\(/gm)].map(([, path]) => `POST ${path}`)
  expect(get.length * post.length).toBeGreaterThan(0)
  expect(webhooks).toContain(String.raw`^\/webhooks\/(`)
  expect(documented.toSorted()).toEqual([...get, ...post, 'POST /webhooks/<endpoint key>'].toSorted())
})

test('docs/http.md has the status of every code that has one of its own', () => {
  const rows = [...page.matchAll(/^\| (\d{3}) \| (.*) \|$/gm)]
  const documented = rows.flatMap(([, status, codes = '']) =>
    [...codes.matchAll(/`([a-z_]+)`/g)].map(([, code]) => `${status} ${code}`),
  )
  const own = [signIn, webhooks].flatMap((text) =>
    [...text.matchAll(/^ {2}([a-z_]+): (\d{3}),$/gm)].map(([, code, status]) => `${status} ${code}`),
  )
  expect(own.length).toBeGreaterThan(10)
  const others = ['400 bad_message', '400 invalid_value', '405 bad_message']
  expect(documented.toSorted()).toEqual([...new Set([...own, ...others])].toSorted())
})
