/** Addresses of clients: which one a request comes from, and which of them are one client's. */
import ipaddr from 'ipaddr.js'

/** A network as `parseNetwork` gives it. */
export interface Network {
  readonly address: ipaddr.IPv4 | ipaddr.IPv6
  /** Of the address that are of the network. */
  readonly bits: number
}

/** `10.0.0.0/8`, `2001:db8::/32`, or one address. Undefined: it is none. */
export function parseNetwork(text: string): Network | undefined {
  if (ipaddr.isValidCIDR(text)) {
    const [address, bits] = ipaddr.parseCIDR(text)
    return { address, bits }
  }
  const address = parse(text)
  return address && { address, bits: address.kind() === 'ipv4' ? 32 : 128 }
}

/**
 * Where a request comes from, in its shortest form; IPv4 that is written as IPv6 is IPv4. `peer` is who connected,
 * `forwarded` the value of X-Forwarded-For, which anybody can write: of it counts what trusted proxies have appended.
 * It is read from its end up to the first address that is no trusted proxy's; what cannot be read ends it. Undefined:
 * the peer is not known.
 */
export function clientAddress(
  peer: string | undefined,
  forwarded: string | undefined,
  trusted: readonly Network[],
): string | undefined {
  let found = parse(peer ?? '')
  if (!found) return undefined
  for (const hop of (forwarded ?? '').split(',').toReversed()) {
    const address: ipaddr.IPv4 | ipaddr.IPv6 = found
    if (!trusted.some((network) => isIn(address, network))) break
    const before = parse(hop.trim())
    if (!before) break
    found = before
  }
  return found.toString()
}

/** Equal for addresses that one client can choose from: of IPv6 its /64. */
export function networkOf(address: string): string {
  const parsed = parse(address)
  return parsed instanceof ipaddr.IPv6
    ? `${parsed.parts
        .slice(0, 4)
        .map((part) => part.toString(16))
        .join(':')}::/64`
    : address
}

/** Whether it is of the Internet at large: a network of one's own, or a proxy in it, holds many clients. */
export function isPublicAddress(address: string): boolean {
  return parse(address)?.range() === 'unicast'
}

function parse(text: string): ipaddr.IPv4 | ipaddr.IPv6 | undefined {
  return ipaddr.IPv4.isValidFourPartDecimal(text) || ipaddr.IPv6.isValid(text) ? ipaddr.process(text) : undefined
}

function isIn(address: ipaddr.IPv4 | ipaddr.IPv6, network: Network): boolean {
  return address.kind() === network.address.kind() && address.match(network.address, network.bits)
}
