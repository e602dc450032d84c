import type { TableDescriptor } from '../../protocol/rows/table.ts'

/** A table with a column of every kind that merges in its own way. */
export const documents: TableDescriptor = {
  name: 'documents',
  direction: 'rw',
  policy: 'merge',
  writers: ['member'],
  scope: { kind: 'columns', columns: [{ scope: 'organization', column: 'organizationId' }] },
  transitions: {
    pending: ['doing', 'stuck'],
    doing: ['done', 'stuck', 'pending'],
    stuck: ['pending'],
    done: ['pending'],
  },
  columns: {
    id: { name: 'id', type: 'uuid', optional: true, class: 'server' },
    organizationId: { name: 'organization_id', type: 'uuid', optional: true, class: 'server' },
    version: { name: 'version', type: 'integer', optional: true, class: 'server' },
    deletedAt: { name: 'deleted_at', type: 'timestamptz', nullable: true, optional: true, class: 'server' },
    ownerId: { name: 'owner_id', type: 'uuid', class: 'fixed', references: 'users' },
    title: { name: 'title', type: 'text', minLength: 1, maxLength: 20 },
    body: { name: 'body', type: 'text', nullable: true, optional: true, class: 'text3', maxLength: 100 },
    note: { name: 'note', type: 'text', nullable: true, optional: true },
    rank: { name: 'rank', type: 'integer', optional: true, default: 0 },
    price: { name: 'price', type: 'numeric', precision: 18, scale: 8, nullable: true, optional: true },
    uses: { name: 'uses', type: 'integer', optional: true, default: 0, class: 'counter', min: 0 },
    tags: { name: 'tags', type: 'text[]', optional: true, default: [] },
    meta: { name: 'meta', type: 'jsonb', optional: true, default: {} },
    seen: { name: 'seen', type: 'timestamptz', nullable: true, optional: true, class: 'silent' },
    place: { name: 'place', type: 'text', nullable: true, optional: true, class: 'lww' },
    status: { name: 'status', type: 'text', optional: true, default: 'pending' },
  },
}
