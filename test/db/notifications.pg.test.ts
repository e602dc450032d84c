import { once, EventEmitter } from 'node:events'
import pg from 'pg'
import { expect, test } from 'vitest'
import { systemClock, type Clock } from '../../lib/clock.ts'
import { createNotifications } from '../../server/db/notifications.ts'
import { silentLog } from '../../server/telemetry/telemetry.ts'
import { postgresUrl } from '../support/services.ts'
import { placeOf, startProxy } from '../support/tcp-proxy.ts'

test('tries once after each failure, however long Postgres is away, and then hears again', async () => {
  const url = postgresUrl()
  const { host, port: target } = placeOf(url)
  let [isAway, refused] = [false, 0]
  const proxy = await startProxy(() => {
    if (!isAway) return [target]
    refused++
    return []
  }, host)
  const scheduled: (() => void)[] = []
  const timers = new EventEmitter()
  const clock: Clock = {
    ...systemClock,
    after(_, run) {
      scheduled.push(run)
      timers.emit('set')
      return () => undefined
    },
  }
  const notifications = createNotifications(
    { connectionString: Object.assign(new URL(url), { hostname: '127.0.0.1', port: String(proxy.port) }).href },
    { clock, log: silentLog },
  )
  await notifications.listen('gate_test')

  const lost = once(timers, 'set')
  isAway = true
  proxy.cut(target)
  await lost
  for (let attempt = 1; attempt <= 6; attempt++) {
    const failed = once(timers, 'set')
    for (const run of scheduled.splice(0)) run()
    await failed
    // Whatever else the failure sets off comes with the end of its socket.
    await new Promise((resolve) => setImmediate(resolve))
    expect(refused).toBe(attempt)
    expect(scheduled).toHaveLength(1)
  }

  isAway = false
  const heard: string[] = []
  const arrived = new Promise<void>((resolve) =>
    notifications.add(({ payload }) => {
      heard.push(payload)
      if (payload === 'after') resolve()
      else void tell()
    }),
  )
  const tell = async (): Promise<void> => {
    const client = new pg.Client(postgresUrl())
    await client.connect()
    await client.query(`select pg_notify('gate_test', 'after')`)
    await client.end()
  }
  for (const run of scheduled.splice(0)) run()
  await arrived
  expect(heard).toEqual(['', 'after'])
  await notifications.close()
  await proxy.close()
})
