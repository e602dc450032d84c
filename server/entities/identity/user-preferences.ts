import { enumeration, json, reference, text } from '../column.ts'
import { defineTable } from '../define.ts'
import { live, unique } from '../indexes.ts'
import { syncedColumns } from '../mixins.ts'

/** Decision weights and settings, one row per key so that two devices rarely collide. */
export const userPreferences = defineTable({
  table: 'user_preferences',
  module: 'identity',
  direction: 'rw',
  policy: 'lww',
  writers: ['self'],
  scope: { kind: 'columns', columns: [{ scope: 'user', column: 'userId' }] },
  naturalKey: ['organizationId', 'userId', 'category', 'key'],
  columns: {
    ...syncedColumns(),
    userId: reference('users', 'cascade'),
    category: enumeration([
      'decision_weights',
      'notifications',
      'interface',
      'editor',
      'agents',
      'sync',
      'privacy',
      'general',
    ]),
    key: text().len(1, 120),
    value: json(),
  },
  classes: {
    fixed: ['userId', 'category', 'key'],
  },
  indexes: [unique(['organizationId', 'userId', 'category', 'key'], { where: live })],
  checks: {
    category_value:
      "category <> 'decision_weights' or case when jsonb_typeof(value) = 'number' then value::numeric between 0 and 1 else false end",
  },
})
