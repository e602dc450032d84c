import { bigint, bytea, enumeration, json, reference, text, timestamp } from '../column.ts'
import { defineTable } from '../define.ts'
import { index, unique } from '../indexes.ts'
import { recordColumns } from '../mixins.ts'

/** Metadata; bytes are in object or file storage. */
export const pipelineArtifacts = defineTable({
  table: 'pipeline_artifacts',
  module: 'pipelines',
  direction: 'ro',
  policy: 'server',
  scope: { kind: 'columns', columns: [{ scope: 'project', column: 'projectId' }] },
  columns: {
    ...recordColumns(),
    projectId: reference('projects', 'cascade'),
    executionId: reference('pipeline_executions', 'cascade'),
    stepExecutionId: reference('pipeline_step_executions', 'set null').nullable(),
    name: text().len(1, 255),
    kind: enumeration(['file', 'report', 'coverage', 'image', 'package', 'log']).default('file'),
    storageUri: text(),
    sizeBytes: bigint().min(0).nullable(),
    sha256: bytea().check('octet_length({}) = 32').nullable(),
    contentType: text().nullable(),
    expiresAt: timestamp().nullable(),
    metadata: json().default({}),
  },
  indexes: [unique(['executionId', 'name']), index(['expiresAt'], { where: 'expires_at is not null' })],
})
