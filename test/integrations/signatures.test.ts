import { createHmac } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { isPublicAddress, post } from '../../server/integrations/post.ts'
import { issueChangeOf, readDelivery } from '../../server/integrations/payload.ts'
import { refuseSignature, standardSignature, type Provider, type Sent } from '../../server/integrations/signatures.ts'

const secret = "It's a Secret to Everybody"
const now = Date.UTC(2026, 0, 1)
const seconds = String(now / 1000)
const hex = (text: string): string => createHmac('sha256', secret).update(text).digest('hex')

function sent(provider: Provider, text: string, at = seconds, body = Buffer.from(text)): Sent {
  const headers = {
    github: { 'x-hub-signature-256': `sha256=${hex(text)}` },
    linear: { 'linear-signature': hex(text) },
    slack: { 'x-slack-signature': `v0=${hex(`v0:${at}:${text}`)}`, 'x-slack-request-timestamp': at },
    generic: {
      'webhook-id': 'm1',
      'webhook-timestamp': at,
      'webhook-signature': `v1,AAAA ${standardSignature(secret, 'm1', at, Buffer.from(text))}`,
    },
  } as const
  return { headers: headers[provider], body, now }
}
const bodyOf = (provider: Provider, at = now): string =>
  provider === 'linear' ? JSON.stringify({ webhookTimestamp: at }) : '{}'
const providers = ['github', 'linear', 'slack', 'generic'] as const

describe('a signature', () => {
  test.each(providers)('of %s is taken when it is good', (provider) => {
    expect(refuseSignature(provider, secret, sent(provider, bodyOf(provider)))).toBeUndefined()
  })

  test.each(providers)('of %s is refused over another body, by another secret, or when it is absent', (provider) => {
    const good = sent(provider, bodyOf(provider))
    expect(refuseSignature(provider, secret, { ...good, body: Buffer.from(`${bodyOf(provider)} `) })).toMatch(
      /does not fit/,
    )
    expect(refuseSignature(provider, 'another', good)).toMatch(/does not fit/)
    expect(refuseSignature(provider, secret, { ...good, headers: {} })).toMatch(/does not fit/)
  })

  test.each([
    ['linear', 61_000],
    ['slack', 301_000],
    ['generic', 301_000],
  ] as const)('of %s is refused when its time is past, or to come', (provider, ms) => {
    for (const at of [now - ms, now + ms]) {
      const stale = sent(provider, bodyOf(provider, at), String(Math.floor(at / 1000)))
      expect(refuseSignature(provider, secret, stale)).toMatch(/not within/)
    }
    const never = provider === 'linear' ? sent(provider, '{}') : sent(provider, '{}', 'NaN')
    expect(refuseSignature(provider, secret, never)).toMatch(/not within/)
  })

  // https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
  test('of GitHub is the one of their documentation', () => {
    const headers = { 'x-hub-signature-256': 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17' }
    expect(refuseSignature('github', secret, { headers, body: Buffer.from('Hello, World!'), now })).toBeUndefined()
  })
})

describe('a payload', () => {
  test('is read from JSON and from the forms that platforms send', () => {
    const read = (provider: Provider, headers: Sent['headers'], body: string) =>
      readDelivery(provider, { headers, body: Buffer.from(body), now })
    const form = { 'content-type': 'application/x-www-form-urlencoded' }
    expect(
      read('github', { 'x-github-event': 'issues', 'x-github-delivery': 'd1' }, '{"action":"opened"}'),
    ).toMatchObject({ eventType: 'issues.opened', externalId: 'd1' })
    expect(
      read('github', { ...form, 'x-github-event': 'push' }, `payload=${encodeURIComponent('{"ref":"r"}')}`),
    ).toMatchObject({ eventType: 'push', payload: { ref: 'r' } })
    expect(read('slack', form, 'command=%2Fdeploy&text=now')).toMatchObject({
      eventType: '/deploy',
      payload: { text: 'now' },
    })
    expect(read('slack', {}, '{"type":"event_callback","event_id":"E1","event":{"type":"app_mention"}}')).toMatchObject(
      { eventType: 'app_mention', externalId: 'E1' },
    )
    for (const body of ['nonsense', '[1]', 'null']) expect(() => read('github', {}, body)).toThrow(/JSON/)
  })

  test.each([
    [
      'github',
      'issues.closed',
      { issue: { number: 7, title: 'T', state: 'closed', state_reason: 'completed' } },
      'completed',
    ],
    [
      'github',
      'issues.closed',
      { issue: { number: 7, title: 'T', state: 'closed', state_reason: 'not_planned' } },
      'cancelled',
    ],
    ['github', 'issues.reopened', { issue: { number: 7, title: 'T', state: 'open' } }, 'open'],
    ['linear', 'Issue.update', { data: { id: 'i', title: 'T', state: { type: 'completed' } } }, 'completed'],
    ['linear', 'Issue.remove', { data: { id: 'i', title: 'T', state: { type: 'started' } } }, 'cancelled'],
  ] as const)('of %s, %s, says that an issue is %s', (provider, eventType, payload, state) => {
    expect(issueChangeOf(provider, { eventType, payload })).toMatchObject({ title: 'T', state })
  })
})

describe('an address', () => {
  test.each([
    '127.0.0.1',
    '10.1.2.3',
    '172.16.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::1',
    '::',
    'fe80::1',
    'fc00::1',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'localhost',
  ])('%s is not public', (address) => expect(isPublicAddress(address)).toBe(false))
  test.each(['93.184.216.34', '8.8.8.8', '172.32.0.1', '2606:4700:4700::1111'])('%s is public', (address) =>
    expect(isPublicAddress(address)).toBe(true),
  )

  const to = (url: string) => post({ url, headers: {}, body: Buffer.from('{}'), allowPrivate: false, timeoutMs: 5000 })
  test.each([
    'http://93.184.216.34/',
    'https://127.0.0.1/',
    'https://[::1]/',
    'https://2130706433/',
    'https://localhost/',
    'https://[::ffff:10.0.0.1]/',
  ])('%s is not asked', (url) => expect(to(url)).rejects.toMatchObject({ code: 'target_refused' }))
})
