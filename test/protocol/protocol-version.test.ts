import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { z } from 'zod'
import { downSchema } from '../../protocol/messages/down.ts'
import { upSchema } from '../../protocol/messages/up.ts'
import { oldestSupported, protocolVersion } from '../../protocol/protocol-version.ts'
import { errorCodes } from '../../protocol/error-codes.ts'

/** The shape of all messages. Error codes are left out: new ones may come without a new version. */
function hashOfMessages(): string {
  const schemas = [upSchema, downSchema].map((schema) =>
    z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }),
  )
  const codes = JSON.stringify(Object.keys(errorCodes))
  const text = JSON.stringify(schemas).replaceAll(codes, '"error codes"')
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}

describe('the protocol version', () => {
  // When this fails you changed the wire: see protocol-version.ts for what to do, then write the new hash here.
  test('stands for these messages', () => {
    expect({ version: protocolVersion, messages: hashOfMessages() }).toMatchInlineSnapshot(`
      {
        "messages": "4e05ab7f3896ec4d",
        "version": 1,
      }
    `)
  })

  test('does not go without error codes in its schemas', () => {
    expect(JSON.stringify(z.toJSONSchema(downSchema, { io: 'input', unrepresentable: 'any' }))).toContain(
      JSON.stringify(Object.keys(errorCodes)),
    )
  })

  test('supports its own and older ones', () => {
    expect(oldestSupported).toBeLessThanOrEqual(protocolVersion)
    expect(oldestSupported).toBeGreaterThanOrEqual(1)
  })
})
