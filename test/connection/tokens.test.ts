import { expect, test } from 'vitest'
import { welcome } from '../replica/open-replica.ts'
import { connectionOf, type Connected } from './scripted-server.ts'

async function refuse({ server }: Connected): Promise<void> {
  await server.accept()
  await server.say({ type: 'error', fatal: true, error: { code: 'token_expired', message: 'over', remedy: 'get one' } })
}

test('a fixed token that is refused ends the tries: there will be no other', async () => {
  const connected = await connectionOf('fixed')
  const { connection, server, clock } = connected
  connection.connect()
  await refuse(connected)
  await clock.advance(600_000)
  expect(server.opens).toBe(1)
  expect(connection.status).toMatchObject({ connection: 'stopped', error: { code: 'token_expired' } })
})

test('a token function is asked again and again, a refused token is not sent again, and the next one is', async () => {
  let token = 'old'
  const connected = await connectionOf(async () => token)
  const { connection, server, clock } = connected
  connection.connect()
  await refuse(connected)
  await clock.advance(600_000)
  expect(server.opens).toBe(1)
  expect(connection.status).toMatchObject({ connection: 'connecting', error: { code: 'token_expired' } })
  token = 'new'
  await clock.advance(30_000)
  await server.accept()
  await server.say(welcome({ resume: false }))
  expect((await server.heardOf('hello')).map((hello) => hello.token)).toEqual(['old', 'new'])
  expect(connection.status.connection).toBe('live')
})
