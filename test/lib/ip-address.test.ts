import { expect, test } from 'vitest'
import { clientAddress, networkOf, parseNetwork } from '../../lib/ip-address.ts'

const trusted = ['10.0.0.0/8', '2001:db8:1::/48', '192.168.1.7'].flatMap((text) => parseNetwork(text) ?? [])

test.each([
  ['is the peer without a proxy', '192.0.2.1', undefined, '192.0.2.1'],
  ['is the peer when that is no trusted proxy, whatever it says', '192.0.2.1', '203.0.113.5', '192.0.2.1'],
  ['is what a trusted proxy says', '10.1.2.3', '203.0.113.5', '203.0.113.5'],
  ['is the last that no trusted proxy says of itself', '10.1.2.3', '6.6.6.6, 203.0.113.5, 192.168.1.7', '203.0.113.5'],
  ['is the first when all are trusted', '10.1.2.3', '10.0.0.9,10.0.0.8', '10.0.0.9'],
  ['is read up to what is no address', '10.1.2.3', '203.0.113.5, unknown', '10.1.2.3'],
  ['is IPv4 also where it is written as IPv6', '::ffff:10.1.2.3', '::ffff:203.0.113.5', '203.0.113.5'],
  ['may be IPv6', '2001:db8:1::5', '2001:DB8:9:0::1', '2001:db8:9::1'],
  ['is not known without a peer', undefined, '203.0.113.5', undefined],
])('the address of a client %s', (_, peer, forwarded, address) => {
  expect(clientAddress(peer, forwarded, trusted)).toBe(address)
})

test('a client is known by its address, and in IPv6 by its network', () => {
  expect(networkOf('192.0.2.1')).toBe('192.0.2.1')
  expect(networkOf('2001:db8:9::1')).toBe(networkOf('2001:db8:9:0:ffff::2'))
  expect(networkOf('2001:db8:9::1')).not.toBe(networkOf('2001:db8:9:1::1'))
})

test.each(['', '10.0.0.0/33', '10', '10.0.0', 'proxy.example.com', '::/129'])('%j is no network', (text) => {
  expect(parseNetwork(text)).toBeUndefined()
})
