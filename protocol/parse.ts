import type { z } from 'zod'
import { TideError } from './error.ts'
import { decodeFrame, encodeFrame } from './frame.ts'
import { downSchema, type Down } from './messages/down.ts'
import { upSchema, type Up } from './messages/up.ts'

export interface Parsed<Message> {
  readonly message: Message
  readonly sections: readonly Uint8Array[]
}

/** Reads a frame from a client. Throws `TideError` `bad_frame`, or `bad_message` naming the message and the field. */
export function parseUp(bytes: Uint8Array): Parsed<Up> {
  return parse(upSchema, bytes)
}

/** Reads a frame from a server; its blocks are checked when they are unpacked. Throws as `parseUp`. */
export function parseDown(bytes: Uint8Array): Parsed<Down> {
  return parse(downSchema, bytes)
}

/** The frame of a message without blocks; `frameOf` makes those with. */
export function messageFrame(message: Up | Down): Uint8Array {
  return encodeFrame({ message, sections: [] })
}

function parse<Message>(schema: z.ZodType<Message>, bytes: Uint8Array): Parsed<Message> {
  const { message, sections } = decodeFrame(bytes)
  const result = check(schema, message)
  if (result.success) return { message: result.data, sections }
  const issue = result.error.issues[0]
  const where = issue && issue.path.length > 0 ? ` at ${pathText(issue.path)}` : ''
  throw new TideError(
    'bad_message',
    `${nameOf(message)} is refused${where}: ${issue?.message ?? 'it fails its schema'}.`,
  )
}

function check<Message>(schema: z.ZodType<Message>, message: unknown): z.ZodSafeParseResult<Message> {
  try {
    return schema.safeParse(message)
  } catch (cause) {
    // JSON nested so deep that walking it overflows the stack.
    throw new TideError('bad_message', `${nameOf(message)} is refused: it is nested too deep.`, { cause })
  }
}

function nameOf(message: unknown): string {
  const type = typeof message === 'object' && message !== null && 'type' in message ? message.type : undefined
  return typeof type === 'string'
    ? `A message of type ${JSON.stringify(type.slice(0, 40))}`
    : 'A message without a type'
}

/** `mutations[3].rowId` */
function pathText(path: readonly PropertyKey[]): string {
  return path
    .map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`))
    .join('')
    .replace(/^\./, '')
}
