/**
 * One request to an address that somebody configured: never redirected, never longer than its time, and only to public
 * addresses.
 */
import { lookup as lookUp, type LookupAddress } from 'node:dns'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { BlockList, isIP, type LookupFunction } from 'node:net'
import { TideError } from '../../protocol/error.ts'

export interface Posting {
  readonly method?: 'POST' | 'PATCH'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** Also to loopback, private networks and plain http. */
  readonly allowPrivate: boolean
  /** Of the whole request. */
  readonly timeoutMs: number
  /** Bytes of the answer that are read. */
  readonly answerBytes?: number
}

/** Networks that are not the public internet (RFC 6890, and what came later). */
const closed = new BlockList()
for (const [net, prefix] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  closed.addSubnet(net, prefix, 'ipv4')
/** Of IPv6 only global unicast is open; these are the parts of it that lead elsewhere, IPv4 in disguise among them. */
const open6 = new BlockList()
open6.addSubnet('2000::', 3, 'ipv6')
const closed6 = new BlockList()
for (const [net, prefix] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  closed6.addSubnet(net, prefix, 'ipv6')

/** Whether an IP address is on the public internet. */
export function isPublicAddress(address: string): boolean {
  switch (isIP(address)) {
    case 4:
      return !closed.check(address, 'ipv4')
    case 6:
      return open6.check(address, 'ipv6') && !closed6.check(address, 'ipv6')
    default:
      return false
  }
}

const usualAnswerBytes = 16 * 1024

export interface Answer {
  readonly status: number
  /** Its beginning. */
  readonly text: string
}

/** Throws `target_refused` for an address that may not be asked, and whatever the network says. */
export async function post({
  method = 'POST',
  url,
  headers,
  body,
  allowPrivate,
  timeoutMs,
  answerBytes = usualAnswerBytes,
}: Posting): Promise<Answer> {
  const target = new URL(url)
  const host = target.hostname.replace(/^\[|\]$/g, '')
  if (target.protocol !== 'https:' && !(allowPrivate && target.protocol === 'http:'))
    throw new TideError('target_refused', `${target.protocol}//${target.host} is not https.`)
  if (isIP(host) !== 0 && !allowPrivate && !isPublicAddress(host)) throw privateTarget(host, host)
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const request = (target.protocol === 'https:' ? httpsRequest : httpRequest)(target, {
    method,
    headers: { ...headers, 'content-length': body.byteLength, connection: 'close' },
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
    ...(allowPrivate ? {} : { lookup: publicOnly }),
  })
  request.once('error', reject)
  request.once('response', (response) => {
    const chunks: Buffer[] = []
    let size = 0
    const done = (): void => {
      resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() })
      // An answer without end is cut.
      response.destroy()
    }
    response.on('data', (chunk: Buffer) => {
      chunks.push(chunk)
      size += chunk.byteLength
      if (size >= answerBytes) done()
    })
    response.once('end', done)
    response.once('error', reject)
  })
  request.end(body)
  return promise
}

/** The address that was checked is the one that is connected to, so a name that changes its mind gains nothing. */
const publicOnly: LookupFunction = (hostname, options, callback) => {
  lookUp(hostname, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, [])
    const wrong = addresses.find(({ address }) => !isPublicAddress(address))
    const [first] = addresses
    if (wrong || !first) return callback(privateTarget(hostname, wrong?.address ?? 'nothing'), [])
    if (options.all === true) callback(null, addresses satisfies LookupAddress[])
    else callback(null, first.address, first.family)
  })
}

function privateTarget(host: string, address: string): TideError {
  return new TideError('target_refused', `${host} is at ${address}, which is not a public address.`)
}
