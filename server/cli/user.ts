import { TideError } from '../../protocol/error.ts'
import { anonymiseUser, deactivateUser } from '../auth/auth.ts'
import type { Database } from '../db/db.ts'
import { table, type Console } from './console.ts'

export interface UserOptions {
  /** E-mail address. */
  readonly user: string
  readonly transferTo?: string
  readonly dryRun?: boolean
}

const jobs = { deactivate: deactivateUser, anonymise: anonymiseUser } as const

/** Deactivates or anonymises somebody, or says what that would change. */
export async function leave(
  { pool }: Database,
  job: keyof typeof jobs,
  { user, transferTo, dryRun = false }: UserOptions,
  console: Console,
): Promise<void> {
  const idOf = async (email: string): Promise<string> => {
    const { rows } = await pool.query<{ id: string }>(
      'select id from users where email = lower($1) and deleted_at is null',
      [email],
    )
    if (rows[0]) return rows[0].id
    throw new TideError('not_found', `There is no user ${email}.`, { remedy: 'Check the spelling.' })
  }
  const [userId, successorId] = [await idOf(user), transferTo === undefined ? undefined : await idOf(transferTo)]
  const changes = await jobs[job]({ pool, userId, successorId, dryRun })
  const lines = Object.entries(changes)
  const done = `${user} ${dryRun ? 'would be' : 'is'} ${job === 'deactivate' ? 'deactivated' : 'anonymised'}.`
  console.answer(
    { user, userId, job, dryRun, changes },
    [done, ...(lines.length === 0 ? [] : [table(['what', 'rows'], lines)])].join('\n'),
  )
}
