import type pg from 'pg'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { createUuidSource } from '../../lib/uuid.ts'
import { insertRow } from '../../server/db/insert-row.ts'

const newId = createUuidSource(systemClock, systemRandom)

/** A project, and the ids of its tasks by their position. */
export interface Project {
  readonly id: string
  /** `project/<id>`: what its clients follow. */
  readonly channel: string
  readonly tasks: number
}

const statuses = ['pending', 'assigned', 'in_progress', 'in_review', 'blocked', 'completed']
const priorities = ['low', 'medium', 'high', 'critical']
const words = [
  'agent',
  'review',
  'index',
  'vector',
  'deploy',
  'staging',
  'memory',
  'the',
  'of',
  'when',
  'answer',
  'retry',
  'session',
  'with',
  'project',
  'because',
  'latency',
  'queue',
  'a',
  'customer',
  'replica',
  'offline',
  'merge',
  'branch',
  'to',
  'policy',
  'token',
  'write',
  'before',
  'release',
  'search',
  'draft',
]

/**
 * Makes a project of the organization that everyone in it may see, with so many tasks in it: a title of about 35 bytes,
 * about 120 bytes of description, status, priority, progress, and about 80 bytes of metadata; the table's other columns
 * (it has 45 that travel) have their defaults or are null.
 */
export async function seedProject(
  on: pg.ClientBase,
  organizationId: string,
  ownerId: string,
  name: string,
  tasks: number,
): Promise<Project> {
  const id = newId()
  await insertRow(on, 'projects', {
    id,
    organization_id: organizationId,
    owner_user_id: ownerId,
    created_by_user_id: ownerId,
    name,
    slug: `bench-${name}`,
  })
  const chunk = 20_000
  for (let from = 1; from <= tasks; from += chunk) {
    await on.query(insertTasks, [
      organizationId,
      id,
      ownerId,
      from,
      Math.min(tasks, from + chunk - 1),
      words,
      statuses,
      priorities,
    ])
  }
  return { id, channel: `project/${id}`, tasks }
}

/** $1 organization, $2 project, $3 author, $4 and $5 first and last position, $6 words, $7 statuses, $8 priorities. */
const insertTasks = `
insert into tasks (organization_id, project_id, created_by_user_id, title, description, status, priority, progress_percentage, position, metadata)
select $1, $2, $3,
  format('%s %s %s of task %s', word(i, 1), word(i, 2), word(i, 3), i),
  (select string_agg(word(i, k), ' ') from generate_series(4, 22) k),
  ($7::text[])[1 + i % 6], ($8::text[])[1 + i % 4], (i * 7) % 101, i,
  jsonb_build_object('source', 'import', 'batch', i / 100, 'checksum', left(md5(i::text), 12), 'labels', jsonb_build_array(word(i, 30), word(i, 31)))
from generate_series($4::int, $5::int) i`
  // A word that depends on the row and the place, so that no two texts are equal and none is noise.
  .replaceAll(/word\(i, (\w+)\)/g, '($6::text[])[1 + abs(hashint4(i * 37 + $1)) % 32]')

/** Ids of the tasks of a project, in the order of their positions. */
export async function taskIds(
  on: pg.ClientBase,
  project: Project,
  limit: number = project.tasks,
): Promise<readonly string[]> {
  const { rows } = await on.query<{ id: string }>(
    'select id from tasks where project_id = $1 order by position, id limit $2',
    [project.id, limit],
  )
  return rows.map(({ id }) => id)
}
