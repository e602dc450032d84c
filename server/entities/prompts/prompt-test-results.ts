import { boolean, integer, json, numeric, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index } from '../indexes.ts'
import { systemRecordColumns } from '../mixins.ts'

export const promptTestResults = defineTable({
  table: 'prompt_test_results',
  module: 'prompts',
  direction: 'rw',
  policy: 'append',
  writers: ['admin', 'agent'],
  scope: { kind: 'via', parent: 'prompts', column: 'promptId', channel: 'prompt' },
  columns: {
    ...systemRecordColumns(),
    promptId: reference('prompts', 'cascade'),
    testName: text().len(1, 255),
    passed: boolean(),
    score: numeric(5, 2).between(0, 100).nullable(),
    output: text().nullable(),
    expected: text().nullable(),
    input: json().nullable(),
    evaluator: text().len(1, 100).nullable(),
    model: text().nullable(),
    durationMs: integer().nullable(),
    costUsd: numeric(18, 8).nullable(),
    testedAt: timestamp().defaultSql('now()'),
  },
  classes: {
    fixed: ['promptId'],
  },
  indexes: [index(['promptId', 'testedAt']), index(['testedAt'])],
})
