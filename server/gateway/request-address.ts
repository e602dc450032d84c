import type { IncomingMessage } from 'node:http'
import { clientAddress, parseNetwork } from '../../lib/ip-address.ts'

/** Says where a request comes from, behind proxies of these networks (TRUSTED_PROXIES) as much as without. */
export function createRequestAddress(
  trustedProxies: readonly string[],
): (request: Pick<IncomingMessage, 'headers' | 'socket'>) => string | undefined {
  const trusted = trustedProxies.flatMap((text) => parseNetwork(text) ?? [])
  return ({ socket, headers }) => {
    // Several headers of this name are one, in Node and by RFC 9110.
    const { 'x-forwarded-for': forwarded } = headers
    return clientAddress(socket.remoteAddress, Array.isArray(forwarded) ? forwarded.join(',') : forwarded, trusted)
  }
}
