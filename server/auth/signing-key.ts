import { link, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createRemoteJWKSet, type JWTVerifyGetKey } from 'jose'
import type { Random } from '../../lib/random.ts'
import type { AuthConfig } from '../config.ts'

/** How tokens are checked, and signed where this server is the one that signs. */
export type SigningKey =
  | { readonly kind: 'secret'; readonly bytes: Uint8Array }
  | { readonly kind: 'remote'; readonly keys: JWTVerifyGetKey; readonly issuer: string; readonly audience: string }

/** The key of the configuration; a stored one is made at first use, readable by its owner only. */
export async function openSigningKey(config: AuthConfig, random: Random): Promise<SigningKey> {
  switch (config.kind) {
    case 'secret':
      return { kind: 'secret', bytes: new TextEncoder().encode(config.secret) }
    case 'jwks':
      return {
        kind: 'remote',
        keys: createRemoteJWKSet(new URL(config.url)),
        issuer: config.issuer,
        audience: config.audience,
      }
    case 'stored':
      return { kind: 'secret', bytes: await storedSecret(config.dataDir, random) }
  }
}

async function storedSecret(dataDir: string, random: Random): Promise<Uint8Array> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  const path = join(dataDir, 'auth-secret')
  // Written aside and linked, so that whoever finds the file finds all of it, and the first one stays.
  const draft = `${path}.${Buffer.from(random.bytes(8)).toString('hex')}`
  await writeFile(draft, Buffer.from(random.bytes(32)).toString('base64'), { mode: 0o600 })
  try {
    await link(draft, path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    await rm(draft)
  }
  return new Uint8Array(Buffer.from(await readFile(path, 'utf8'), 'base64'))
}
