import { reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

export const memoryTags = defineTable({
  table: 'memory_tags',
  module: 'memory',
  direction: 'rw',
  policy: 'set',
  writers: ['member', 'agent', 'self'],
  scope: { kind: 'via', parent: 'memories', column: 'memoryId', channel: 'memory' },
  naturalKey: ['memoryId', 'tag'],
  columns: {
    ...syncedColumns(),
    memoryId: reference('memories', 'cascade'),
    tag: text().check('{} = lower(btrim({})) and char_length({}) >= 1 and char_length({}) <= 80'),
  },
  classes: {
    fixed: ['memoryId', 'tag'],
  },
  indexes: [unique(['memoryId', 'tag'], { where: live }), index(['organizationId', 'tag'])],
})
