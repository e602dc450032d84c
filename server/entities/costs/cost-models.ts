import { boolean, double, enumeration, integer, json, text, textArray, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { live, unique } from '../indexes.ts'
import { authorColumns, syncedColumns } from '../mixins.ts'

/** Learned estimators. */
export const costModels = defineTable({
  table: 'cost_models',
  module: 'costs',
  direction: 'rw',
  policy: 'merge',
  writers: ['admin'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  columns: {
    ...syncedColumns(),
    ...authorColumns(),
    name: text().len(1, 160),
    kind: enumeration(['average', 'linear', 'heuristic', 'llm', 'external']),
    target: enumeration(['tokens', 'cost', 'hours']).default('tokens'),
    parameters: json().default({}),
    featureNames: textArray().default([]),
    sampleCount: integer().default(0),
    meanAbsoluteError: double().nullable(),
    meanAbsolutePctError: double().nullable(),
    rSquared: double().nullable(),
    revision: integer().default(1),
    isActive: boolean().default(false),
    trainedAt: timestamp().nullable(),
  },
  classes: {
    server: ['sampleCount', 'meanAbsoluteError', 'meanAbsolutePctError', 'rSquared', 'trainedAt'],
  },
  indexes: [
    unique(['organizationId', 'name', 'revision'], { where: live }),
    unique(['organizationId', 'target'], { where: 'is_active and deleted_at is null' }),
  ],
})
