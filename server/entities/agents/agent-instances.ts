import { enumeration, inet, integer, json, numeric, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

/** A running process of an agent. */
export const agentInstances = defineTable({
  table: 'agent_instances',
  module: 'agents',
  direction: 'rw',
  policy: 'lww',
  writers: ['agent'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...recordColumns(),
    agentId: reference('agents', 'cascade'),
    deviceId: reference('devices', 'set null').nullable(),
    status: enumeration(['starting', 'idle', 'busy', 'draining', 'stopped', 'crashed']).default('starting'),
    hostName: text().nullable(),
    ipAddress: inet().nullable(),
    pid: integer().nullable(),
    runtime: text().nullable(),
    runtimeVersion: text().nullable(),
    currentTaskId: reference('tasks', 'set null').nullable(),
    heartbeatIntervalSeconds: integer().between(1, 3600).default(30),
    lastHeartbeatAt: timestamp().defaultSql('now()'),
    cpuPercent: numeric(6, 2).nullable(),
    memoryMb: numeric(12, 2).nullable(),
    batteryPercent: numeric(5, 2).between(0, 100).nullable(),
    resourceUsage: json().default({}),
    startedAt: timestamp().defaultSql('now()'),
    stoppedAt: timestamp().nullable(),
    exitReason: text().nullable(),
  },
  classes: {
    fixed: ['agentId'],
    silent: ['lastHeartbeatAt', 'cpuPercent', 'memoryMb', 'batteryPercent', 'resourceUsage'],
  },
  indexes: [index(['agentId', 'status']), index(['id'], { where: "status in ('starting','idle','busy','draining')" })],
})
