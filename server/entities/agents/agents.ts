import { boolean, enumeration, inet, integer, json, numeric, reference, text, textArray, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { agentStatus } from '../enums.ts'
import { gin, index, live, unique } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** One table for agents, codegen_agents and agent; AgentDNA in section 4. */
export const agents = defineTable({
  table: 'agents',
  module: 'agents',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin', 'agent'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    teamId: reference('teams', 'set null').nullable(),
    ownerUserId: reference('users', 'set null').nullable(),
    name: text().len(1, 255),
    agentType: text(),
    description: text().nullable(),
    lifecycle: enumeration(['draft', 'active', 'paused', 'retired']).default('active'),
    isActive: boolean().generated("lifecycle = 'active'"),
    status: enumeration(agentStatus).default('offline'),
    dna: json().default({}),
    dnaRevision: integer().default(1),
    configuration: json().default({}),
    capabilityNames: textArray().default([]),
    externalAgentId: text().nullable(),
    mobileCapable: boolean().default(false),
    deviceAffinity: text().len(1, 255).nullable(),
    locationEnabled: boolean().default(false),
    batteryAware: boolean().default(false),
    successRate: numeric(5, 4).between(0, 1).default(0),
    averageResponseTimeMs: numeric(12, 3).min(0).nullable(),
    totalTasksCompleted: integer().min(0).default(0),
    usageStats: json().default({}),
    currentTaskId: reference('tasks', 'set null').nullable(),
    lastHeartbeatAt: timestamp().nullable(),
    ipAddress: inet().nullable(),
    hostName: text().nullable(),
    deactivatedAt: timestamp().nullable(),
  },
  stamps: {
    deactivatedAt: { when: "{}.lifecycle = 'retired'" },
  },
  revisions: { dnaRevision: 'dna' },
  classes: {
    fixed: ['externalAgentId'],
    server: [
      'dnaRevision',
      'capabilityNames',
      'successRate',
      'averageResponseTimeMs',
      'totalTasksCompleted',
      'usageStats',
      'deactivatedAt',
    ],
    silent: ['lastHeartbeatAt', 'ipAddress', 'hostName'],
    lww: ['status', 'currentTaskId'],
  },
  // An agent that could write these would give itself rights, or take off what an admin put on it.
  guards: {
    teamId: { kind: 'rank', rank: 'admin' },
    ownerUserId: { kind: 'rank', rank: 'admin' },
    agentType: { kind: 'rank', rank: 'admin' },
    lifecycle: { kind: 'rank', rank: 'admin' },
    status: { kind: 'rank', rank: 'admin', from: ['maintenance'] },
    dna: { kind: 'rank', rank: 'admin', within: [['guardrails'], ['model', 'costCeilingUsdPerRun']] },
  },
  indexes: [
    unique(['organizationId', 'name'], { where: live }),
    index(['status']),
    index(['teamId']),
    index(['ownerUserId']),
    index(['mobileCapable'], { where: 'mobile_capable' }),
    gin(['agentType', 'capabilityNames']),
    unique(['externalAgentId']),
  ],
})
