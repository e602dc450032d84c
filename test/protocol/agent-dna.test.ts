import { describe, expect, test } from 'vitest'
import { AgentDNA, AgentMemoryConfig } from '../../protocol/agents/agent-dna.ts'
import * as fromSdk from '@tidewire/client/agent-dna'
import { memoryType, scopeType } from '../../server/entities/enums.ts'

describe('AgentDNA', () => {
  test('fills every default from a name', () => {
    const dna = AgentDNA.parse({ identity: { name: 'scout' } })
    expect(dna).toMatchObject({
      schemaVersion: 1,
      identity: { name: 'scout', role: 'generic', version: '1.0.0', lineage: { parentAgentId: null, generation: 0 } },
      personality: { tone: 'neutral', verbosity: 'medium', traits: {} },
      model: { provider: 'openrouter', temperature: 0.7, maxOutputTokens: 4096 },
      skills: { skills: [], tools: [], maxParallelTools: 1, disclosure: 'progressive' },
      memory: { maxRecall: 12, weights: { similarity: 0.55, text: 0.2, importance: 0.15, recency: 0.1 } },
      guardrails: { allowedTools: null, maxRunSeconds: 1800, escalation: { userId: null, afterFailures: 3 } },
      runtime: { concurrency: 1, heartbeatSeconds: 30, minBatteryPercent: 15, retry: { strategy: 'exponential' } },
      extras: {},
    })
    expect(AgentDNA.parse(dna)).toEqual(dna)
  })

  test.each([
    ['an unknown sub-model', { identity: { name: 'a' }, soul: {} }],
    ['an unknown key in a sub-model', { identity: { name: 'a', colour: 'red' } }],
    ['no name', { identity: {} }],
    ['a share above 1', { identity: { name: 'a' }, personality: { traits: { caution: 1.1 } } }],
    ['a version that is none', { identity: { name: 'a', version: 'one' } }],
    [
      'one skill twice',
      { identity: { name: 'a' }, skills: { skills: ['x', 'y'].map((name) => ({ key: 'k', name })) } },
    ],
  ])('refuses %s', (_, dna) => expect(AgentDNA.safeParse(dna).success).toBe(false))

  test('takes anything as extras', () => {
    const extras = { a: { b: [1, null] } }
    expect(AgentDNA.parse({ identity: { name: 'a' }, extras }).extras).toEqual(extras)
  })

  test('knows the scopes and kinds of memory that the tables know', () => {
    expect(AgentMemoryConfig.shape.scopes.unwrap().element.options).toEqual(scopeType)
    expect(AgentMemoryConfig.shape.types.unwrap().element.options).toEqual(memoryType)
  })

  test('is what the SDK has', () => expect(fromSdk.AgentDNA).toBe(AgentDNA))
})
