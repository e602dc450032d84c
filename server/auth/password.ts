import type { Options } from '@node-rs/argon2'
import { TideError } from '../../protocol/error.ts'

/** OWASP's recommendation for Argon2id: 19 MiB, two passes, one lane; the library's default algorithm is Argon2id. */
const cost: Options = { memoryCost: 19_456, timeCost: 2, parallelism: 1 }
/** A native module of 4 MB, loaded when somebody signs in or sets a password. */
const argon2 = () => import('@node-rs/argon2')
const shortest = 10
const longest = 200

/**
 * Hash with its parameters and salt (PHC string). Throws `invalid_value` for a password of fewer than 10 or more than
 * 200 characters.
 */
export async function hashPassword(password: string): Promise<string> {
  if (password.length < shortest || password.length > longest)
    throw new TideError(
      'invalid_value',
      `A password needs ${shortest} to ${longest} characters; this one has ${password.length}.`,
    )
  return (await argon2()).hash(password.normalize('NFKC'), cost)
}

/**
 * Whether it is the password. Takes as long when there is none to compare with, so that nobody learns who has an
 * account.
 */
export async function isPassword(password: string, stored: string | undefined): Promise<boolean> {
  const known = stored ?? (await nobodys())
  const { verify } = await argon2()
  return (await verify(known, password.slice(0, longest).normalize('NFKC'))) && stored !== undefined
}

let nobody: Promise<string> | undefined
function nobodys(): Promise<string> {
  return (nobody ??= argon2().then(({ hash }) => hash('the password of nobody', cost)))
}
