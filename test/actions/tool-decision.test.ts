import { describe, expect, test } from 'vitest'
import { redact } from '../../protocol/rows/redact.ts'
import { decideTool, nothingUsed, type Permission, type ToolRequest } from '../../server/actions/tool-decision.ts'

const row = (of: Permission['of'], allowed: boolean, operations: readonly string[] = []): Permission => ({
  id: of,
  allowed,
  operations,
  reason: null,
  of,
})
const decide = (more: Partial<ToolRequest>) =>
  decideTool({
    toolName: 'shell',
    operation: 'run',
    byUser: false,
    permissions: [row('shipped', true)],
    dna: {},
    used: nothingUsed,
    ...more,
  })

describe('a tool', () => {
  test('that nothing names is denied', () => {
    expect(decide({ permissions: [] })).toMatchObject({ allowed: false, permissionId: null })
  })

  test.each([
    ['the agent before its type', [row('organization', false), row('agent', true)], true, 'agent'],
    ['the agent before its type, also when it denies', [row('agent', false), row('shipped', true)], false, 'agent'],
    [
      'the organization before what is shipped',
      [row('shipped', true), row('organization', false)],
      false,
      'organization',
    ],
  ])('is decided by the row of %s', (_, permissions, allowed, permissionId) => {
    expect(decide({ permissions })).toMatchObject({ allowed, permissionId })
  })

  test('is allowed for the operations that its row names', () => {
    const permissions = [row('agent', true, ['run', 'list'])]
    expect(decide({ permissions })).toMatchObject({ allowed: true })
    expect(decide({ permissions, operation: 'delete' })).toMatchObject({ allowed: false })
  })

  test.each([
    ['denied', { deniedTools: ['shell'] }],
    ['not among those allowed', { allowedTools: ['read'] }],
    ['in need of approval', { requireApprovalFor: ['shell'] }],
    ['in need of approval for this operation', { requireApprovalFor: ['shell.run'] }],
  ])('that guardrails call %s is denied, whatever rows allow', (_, guardrails) => {
    expect(decide({ dna: { guardrails } })).toMatchObject({ allowed: false, reason: expect.any(String) })
  })

  test('that guardrails allow is still denied by its row', () => {
    expect(
      decide({ permissions: [row('agent', false)], dna: { guardrails: { allowedTools: ['shell'] } } }),
    ).toMatchObject({ allowed: false })
  })

  test.each([
    ['maxTokensPerRun', { guardrails: { maxTokensPerRun: 10 } }, { tokens: 10 }],
    ['maxTokensPerRun', { guardrails: {} }, { tokens: 200_000 }],
    ['maxRunSeconds', { guardrails: { maxRunSeconds: 60 } }, { seconds: 61 }],
    ['costCeilingUsdPerRun', { model: { costCeilingUsdPerRun: 0.5 } }, { costUsd: 0.5 }],
    ['maxCostUsdPerDay', { guardrails: { maxCostUsdPerDay: 2 } }, { todayUsd: 2.5 }],
  ])('is denied when %s is reached', (limit, dna, { todayUsd = 0, ...run }: Readonly<Record<string, number>>) => {
    const used = { run: { tokens: 0, costUsd: 0, seconds: 0, ...run }, todayUsd }
    expect(decide({ dna, used })).toMatchObject({ allowed: false, reason: expect.stringContaining(limit) })
    expect(decide({ dna, used, byUser: true })).toMatchObject({ allowed: false })
    expect(decide({ dna, used: nothingUsed })).toMatchObject({ allowed: true })
    expect(decide({ dna: {}, used })).toMatchObject({ allowed: true })
  })

  test('that needs approval is allowed when a person asks', () => {
    expect(decide({ byUser: true, dna: { guardrails: { requireApprovalFor: ['shell'] } } })).toMatchObject({
      allowed: true,
    })
  })

  test.each([[{ guardrails: 'none' }], [{ guardrails: { deniedTools: 'shell' } }], ['text']])(
    'is denied when guardrails cannot be read: %j',
    (dna) => {
      expect(decide({ dna })).toMatchObject({ allowed: false })
    },
  )

  test.each([[null], [{}], [{ guardrails: { allowedTools: null } }]])(
    'is as its row says with guardrails %j',
    (dna) => {
      expect(decide({ dna })).toMatchObject({ allowed: true, reason: null })
    },
  )
})

describe('what is kept of parameters', () => {
  test('has nothing under the names of secrets, however deep', () => {
    expect(
      redact({ path: '/a', headers: [{ Authorization: 'x', accept: 'y' }], apiKey: { a: 1 }, user_password: 'p' }),
    ).toEqual({
      path: '/a',
      headers: [{ Authorization: '[redacted]', accept: 'y' }],
      apiKey: '[redacted]',
      user_password: '[redacted]',
    })
  })

  test.each([
    'curl -H "Bearer abcdef"',
    'postgres://ada:secret@db/x',
    'sk-0123456789abcdef',
    'ghp_0123456789abcdef01',
    '-----BEGIN PRIVATE KEY-----',
  ])('has no text that looks like a secret: %s', (text) => {
    expect(redact({ command: text })).toEqual({ command: '[redacted]' })
  })

  test('leaves out what is too long, and what is too deep', () => {
    expect(redact({ text: 'x'.repeat(17_000) })).toEqual({ omitted: expect.stringContaining('characters') })
    const deep = JSON.parse('['.repeat(100) + ']'.repeat(100))
    expect(JSON.stringify(redact(deep))).toContain('[deeper]')
  })
})
