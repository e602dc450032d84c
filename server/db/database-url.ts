/**
 * URLs of Postgres as pg reads them, which is nearly how libpq does: `?sslmode=` and the paths of certificates,
 * `?host=` for the folder of a Unix socket, or that folder as the host, encoded. What differs is turned for libpq's
 * programs here.
 */

/** The name of the database; undefined: the URL names none. */
export function databaseOf(url: string): string | undefined {
  return decodeURIComponent(new URL(url).pathname.slice(1)) || undefined
}

/** For people and logs: without passwords, wherever they stand. */
export function maskUrl(url: string): string {
  return URL.canParse(url) ? withoutPasswords(url).url.href : '(no URL)'
}

/**
 * For the command line of libpq's programs, which everybody on the machine may read, and the password for their
 * environment. `sslmode` means to them what pg has it mean: it checks the certificate, with the authorities of the
 * system unless some are named, save for `no-verify`, which libpq calls `require`, and with `uselibpqcompat`.
 */
export function toLibpq(from: string, database?: string): { readonly url: string; readonly password: string } {
  const { url, password } = withoutPasswords(from)
  if (database !== undefined) url.pathname = `/${encodeURIComponent(database)}`
  const query = url.searchParams
  const mode = query.get('sslmode') ?? modeOf(query.get('ssl'))
  const isLibpqs = query.get('uselibpqcompat') === 'true'
  for (const unknown of ['ssl', 'uselibpqcompat']) query.delete(unknown)
  if (mode === null) return { url: url.href, password }
  const checks = !isLibpqs && mode !== 'disable' && mode !== 'no-verify'
  query.set('sslmode', checks ? 'verify-full' : mode === 'no-verify' ? 'require' : mode)
  if (checks && !query.has('sslrootcert')) query.set('sslrootcert', 'system')
  return { url: url.href, password }
}

/** Of pg's `ssl`. */
function modeOf(ssl: string | null): string | null {
  if (ssl === null) return null
  return ssl === '0' || ssl === 'false' ? 'disable' : ssl === 'no-verify' ? 'no-verify' : 'verify-full'
}

function withoutPasswords(from: string): { readonly url: URL; readonly password: string } {
  const url = new URL(from)
  const password = url.searchParams.get('password') ?? decodeURIComponent(url.password)
  url.password = ''
  // A query that is touched is encoded anew.
  for (const secret of ['password', 'sslpassword']) if (url.searchParams.has(secret)) url.searchParams.delete(secret)
  return { url, password }
}

const untrusted =
  /^(DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_(VERIFY_LEAF_SIGNATURE|GET_ISSUER_CERT(_LOCALLY)?))$/

/** What to change in the URL when Postgres and this server do not agree about TLS; undefined: that is not it. */
export function tlsRemedy(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const code = 'code' in error ? String(error.code) : ''
  if (code === '28000' && error.message.includes('no encryption'))
    return 'This Postgres may want TLS: add ?sslmode=verify-full to the URL.'
  if (untrusted.test(code))
    return 'Add &sslrootcert=/path/of/authority.pem to the URL: the certificate of who signed that of Postgres.'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return 'Name Postgres in the URL as its certificate does; or, with sslrootcert, let sslmode=verify-ca&uselibpqcompat=true check its signature alone.'
  if (error.message.includes('does not support SSL'))
    return 'Switch on ssl in Postgres, or leave sslmode out of the URL.'
  return undefined
}
