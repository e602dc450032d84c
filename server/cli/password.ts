import { text as readText } from 'node:stream/consumers'
import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'
import { createSignIn } from '../auth/auth.ts'
import type { DatabaseJob } from './command.ts'
import { openAuth } from './use-database.ts'

export interface PasswordOptions {
  readonly user: string
  readonly mustChange?: boolean
}

/** Sets a password that comes from standard input: arguments are seen by everybody on the machine. */
export async function setPassword(
  { database, config, console }: DatabaseJob,
  { user, mustChange = false }: PasswordOptions,
): Promise<void> {
  const { pool } = database
  const { rows } = await pool.query<{ readonly id: string }>(
    'select id from users where email = lower($1) and deleted_at is null',
    [user],
  )
  const [found] = rows
  if (!found) throw new TideError('not_found', `There is no user ${user}.`, { remedy: 'Check the spelling.' })
  if (process.stdin.isTTY) console.progress('Type the password, then Ctrl-D on a line of its own:')
  const password = (await readText(process.stdin)).replace(/\r?\n$/, '')
  const signIn = createSignIn({
    pool,
    auth: await openAuth(config, database),
    clock: systemClock,
    random: systemRandom,
  })
  await signIn.setPassword(found.id, password, { mustChange })
  console.answer({ user }, `The password of ${user} is set; their sessions have ended.`)
}
