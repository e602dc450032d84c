import { expect, test } from 'vitest'
import { isOriginAllowed } from '../../server/gateway/origin.ts'

const host = 'tide.example.com:4600'

test.each([
  ['a program, which names no origin', undefined, [], true],
  ['a page of the same origin', 'http://tide.example.com:4600', [], true],
  ['a page of another port', 'http://tide.example.com', [], false],
  ['a listed page', 'https://app.example.com', ['https://app.example.com'], true],
  ['a page under a listed one', 'https://app.example.com.evil.example', ['https://app.example.com'], false],
  ['localhost', 'http://localhost:5173', ['loopback'], true],
  ['127.0.0.1', 'http://127.0.0.1:5173', ['loopback'], true],
  ['::1', 'http://[::1]:5173', ['loopback'], true],
  ['a name under localhost', 'http://app.localhost', ['loopback'], true],
  ['a name that only begins so', 'http://localhost.evil.example', ['loopback'], false],
  ['an address as a name', 'http://127.0.0.1.evil.example', ['loopback'], false],
  ['localhost where it is not listed', 'http://localhost:5173', ['https://app.example.com'], false],
  ['a sandboxed page', 'null', ['loopback'], false],
  ['a sandboxed page, listed', 'null', ['null'], true],
  ['anything', 'https://evil.example', ['*'], true],
  ['nonsense', 'nonsense', ['loopback'], false],
])('%s', (_, origin, allowed, expected) => {
  expect(isOriginAllowed(origin, host, allowed)).toBe(expected)
})
