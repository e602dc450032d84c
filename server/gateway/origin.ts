/**
 * Whether a page of this origin may open a connection. Browsers name the origin, programs have none. Nothing secret
 * depends on it: a connection can do nothing before it shows a token, and browsers add none by themselves. `host`: what
 * the request calls this server, so that a page that came from here is known. `allowed`: see `Config.allowedOrigins`.
 */
export function isOriginAllowed(
  origin: string | undefined,
  host: string | undefined,
  allowed: readonly string[],
): boolean {
  if (origin === undefined || allowed.includes('*') || allowed.includes(origin.toLowerCase())) return true
  if (!URL.canParse(origin)) return false
  const page = new URL(origin)
  return (
    (host !== undefined && page.host === host.toLowerCase()) ||
    (allowed.includes('loopback') && isLoopback(page.hostname))
  )
}

function isLoopback(hostname: string): boolean {
  return /^(localhost|.+\.localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname)
}
