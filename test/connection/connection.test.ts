import { describe, expect, test } from 'vitest'
import { startOfTests } from '../support/manual-clock.ts'
import { shown, sure, welcome } from '../replica/open-replica.ts'
import { blockOf, channel, projectId, serverTask, testIds } from '../replica/replica-schema.ts'
import { batchMessage, connectionOf, goLive, liveAndHeld } from './scripted-server.ts'

const insertTask = { table: 'tasks', op: 'insert', set: { projectId, title: 'mine' } } as const

describe('greeting', () => {
  test('says who it is and where it stands, and is live after the welcome', async () => {
    const connected = await connectionOf()
    const { connection, server, replica } = connected
    connection.connect()
    await server.accept()
    expect(connection.status.connection).toBe('connecting')
    expect(await server.heard()).toMatchObject([
      { type: 'hello', token: 'token', cursor: null, clientSeq: 0, device: { fingerprint: replica.meta.fingerprint } },
    ])
    await server.say(welcome({ resume: false }))
    expect(connection.status.connection).toBe('live')
    expect(replica.meta.deviceId).toBe(welcome().deviceId)
  })

  test('is tried again with growing pauses, without any local write', async () => {
    const { connection, server, clock } = await connectionOf()
    connection.connect()
    for (const pause of [100, 200, 400]) {
      await server.accept()
      const { opens } = server
      await server.cut()
      await clock.advance(pause / 2 - 1)
      expect(server.opens).toBe(opens)
      await clock.advance(pause / 2 + 1)
      expect(server.opens).toBe(opens + 1)
    }
  })

  test('gives up on a server that stays silent and tries again', async () => {
    const { connection, server, clock } = await connectionOf()
    connection.connect()
    await clock.advance(16_000)
    expect(server.opens).toBe(2)
    await server.accept()
    await clock.advance(80_000)
    expect(server.opens).toBeGreaterThan(2)
    expect(connection.status.error?.code).toBe('timeout')
  })

  test('waits for a welcome as long as the server may take in a crowd', async () => {
    const { connection, server, clock } = await connectionOf()
    connection.connect()
    await server.accept()
    await clock.advance(60_000)
    expect(server.opens).toBe(1)
    await server.say(welcome({ resume: false }))
    expect(connection.status.connection).toBe('live')
  })

  test('stops for good when its device is revoked', async () => {
    const { connection, server, clock } = await liveAndHeld()
    const { opens } = server
    await server.say({
      type: 'error',
      fatal: true,
      error: { code: 'device_revoked', message: 'revoked', remedy: 'none' },
    })
    expect(connection.status).toMatchObject({ connection: 'stopped', error: { code: 'device_revoked' } })
    await clock.advance(600_000)
    expect(server.opens).toBe(opens)
  })

  test('stops for good when the replica belongs to somebody else', async () => {
    const connected = await liveAndHeld()
    const { connection, server, clock } = connected
    await server.cut()
    await clock.advance(1000)
    await goLive(connected, { principal: { kind: 'user', id: testIds() } })
    expect(connection.status).toMatchObject({ connection: 'stopped', error: { code: 'device_principal_mismatch' } })
    const { opens } = server
    await clock.advance(600_000)
    expect(server.opens).toBe(opens)
  })

  test('does not offer a refused token twice, but takes a new one', async () => {
    const tokens = ['old', 'new', 'new']
    const { connection, server, clock } = await connectionOf(async () => tokens.shift() ?? 'new')
    const refuse = async (): Promise<void> =>
      server.say({ type: 'error', fatal: true, error: { code: 'token_expired', message: 'over', remedy: 'get one' } })
    connection.connect()
    await server.accept()
    await refuse()
    await clock.advance(1000)
    await server.accept()
    expect((await server.heardOf('hello')).map(({ token }) => token)).toEqual(['old', 'new'])
    await refuse()
    await clock.advance(1000)
    expect(server.opens).toBe(2)
    expect(connection.status).toMatchObject({ connection: 'connecting', error: { code: 'token_expired' } })
  })

  test('takes a new identity when the server knows the device from another copy', async () => {
    const connected = await connectionOf()
    const { connection, server, replica, clock } = connected
    const { fingerprint } = replica.meta
    connection.connect()
    await server.accept()
    await server.say({ type: 'error', fatal: true, error: { code: 'device_cloned', message: 'cloned', remedy: '' } })
    await clock.advance(1000)
    await server.accept()
    const [, hello] = await server.heardOf('hello')
    expect(hello?.device.fingerprint).toBe(replica.meta.fingerprint)
    expect(replica.meta.fingerprint).not.toBe(fingerprint)
  })
})

describe('a bootstrap', () => {
  test('asks for pages ahead, stages them, activates, and acknowledges what is applied', async () => {
    const connected = await connectionOf()
    const { server, replica } = connected
    await goLive(connected, { resume: false })
    await replica.addSubscription({ id: 'project', channel, embeddings: false })
    expect(await server.heard()).toEqual([
      { type: 'subscribe', subscriptions: [{ id: 'project', channel, embeddings: false, held: false }] },
    ])
    await server.say({ type: 'subscribed', id: 'project' })
    expect(await server.heard()).toEqual([{ type: 'page', subscription: 'project', after: null }])
    const [one, two] = [serverTask(), serverTask()]
    await server.say({ type: 'page', subscription: 'project', from: 5, next: 'two', blocks: [] }, [
      blockOf('tasks', [one]),
    ])
    expect(await server.heard()).toEqual([{ type: 'page', subscription: 'project', after: 'two' }])
    expect(await shown(connected, 'tasks', String(one['id']))).toBeUndefined()
    await server.say({ type: 'page', subscription: 'project', from: 6, next: null, blocks: [] }, [
      blockOf('tasks', [two]),
    ])
    expect(await server.heard()).toEqual([{ type: 'activate', subscription: 'project', from: 5 }])
    await server.say(batchMessage(7, { activated: ['project'] }))
    expect(await server.heard()).toEqual([{ type: 'ack', seq: 7 }])
    expect(replica.subscriptions).toMatchObject([{ state: 'held' }])
    expect(await shown(connected, 'tasks', String(two['id']))).toBeDefined()
  })

  test('goes on after a lost connection where it was', async () => {
    const connected = await connectionOf()
    const { server, replica, clock } = connected
    await goLive(connected, { resume: false })
    await replica.addSubscription({ id: 'project', channel, embeddings: false })
    await server.say({ type: 'subscribed', id: 'project' })
    await server.say({ type: 'page', subscription: 'project', from: 5, next: 'two', blocks: [] }, [
      blockOf('tasks', [serverTask()]),
    ])
    await server.cut()
    await clock.advance(1000)
    const heard = await goLive(connected, { resume: false })
    expect(heard).toMatchObject(
      [{}, {}, {}, {}, { type: 'hello' }, { type: 'subscribe', subscriptions: [{ held: false }] }].slice(-heard.length),
    )
    await server.say({ type: 'subscribed', id: 'project' })
    expect(await server.heard()).toEqual([{ type: 'page', subscription: 'project', after: 'two' }])
  })

  test('refused for good is told and its rows go', async () => {
    const connected = await liveAndHeld()
    const { connection, server, replica } = connected
    const task = serverTask()
    await server.say(batchMessage(2), [blockOf('tasks', [task])])
    const refused: string[] = []
    connection.onRefused((id, error) => refused.push(`${id} ${error?.code}`))
    await server.say({
      type: 'error',
      subscription: 'project',
      fatal: false,
      error: { code: 'forbidden', message: 'no', remedy: '' },
    })
    expect(refused).toEqual(['project forbidden'])
    expect(replica.subscriptions).toEqual([])
    expect(await shown(connected, 'tasks', String(task['id']))).toBeUndefined()
  })
})

describe('a held subscription', () => {
  test('is announced with the cursor after a reconnect, and batches go on', async () => {
    const connected = await liveAndHeld()
    const { server, clock, replica } = connected
    await server.cut()
    await clock.advance(1000)
    const heard = await goLive(connected)
    expect(heard).toMatchObject([
      { type: 'hello', cursor: { epoch: 'first', seq: 1 } },
      { type: 'subscribe', subscriptions: [{ id: 'project', held: true }] },
    ])
    await server.say({ type: 'subscribed', id: 'project' })
    await server.say(batchMessage(3), [blockOf('tasks', [serverTask()])])
    expect(await server.heard()).toEqual([{ type: 'ack', seq: 3 }])
    expect(replica.meta.cursor).toEqual({ epoch: 'first', seq: 3 })
  })

  test('shows nothing of a batch before its last part is here', async () => {
    const connected = await liveAndHeld()
    const { server } = connected
    const [one, two] = [serverTask(), serverTask()]
    await server.say(batchMessage(2, { more: true }), [blockOf('tasks', [one])])
    expect(await shown(connected, 'tasks', String(one['id']))).toBeUndefined()
    await server.say(batchMessage(2), [blockOf('tasks', [two])])
    expect(await shown(connected, 'tasks', String(one['id']))).toBeDefined()
    expect(await shown(connected, 'tasks', String(two['id']))).toBeDefined()
  })

  test('is fetched anew after batches that cannot be applied, and no write is lost', async () => {
    const connected = await liveAndHeld()
    const { server, replica, clock } = connected
    await replica.write([insertTask])
    const broken = blockOf('tasks', [serverTask(), serverTask()])
    for (let time = 0; time < 3; time++) {
      expect(replica.subscriptions).toMatchObject([{ state: 'held' }])
      await server.say(batchMessage(9), [{ block: { ...broken.block, count: 3 }, sections: broken.sections }])
      expect(server.isOpen).toBe(false)
      await clock.advance(20_000)
      await goLive(connected)
    }
    expect(replica.subscriptions).toMatchObject([{ state: 'new' }])
    expect(replica.writes()).toHaveLength(1)
    expect(replica.meta.cursor?.seq).toBe(1)
  })
})

describe('freshness', () => {
  test('is stale until a frontier, when frontiers stop, and after the end', async () => {
    const { connection, server, clock } = await liveAndHeld()
    expect(connection.status.staleSince).not.toBeNull()
    await server.say({ type: 'frontier', seq: 2, at: 0 })
    expect(connection.status.staleSince).toBeNull()
    const last = clock.now()
    await clock.advance(15_001)
    expect(connection.status.staleSince).toBe(last)
    await server.say({ type: 'frontier', seq: 2, at: 0 })
    expect(connection.status.staleSince).toBeNull()
    const seen = clock.now()
    await clock.advance(10)
    await server.cut()
    expect(connection.status).toMatchObject({ connection: 'connecting', staleSince: seen })
  })

  test('moves the cursor of a quiet replica along', async () => {
    const { server, replica, clock } = await liveAndHeld()
    await clock.advance(10_000)
    await server.say({ type: 'frontier', seq: 40, at: 0 })
    expect(replica.meta.cursor?.seq).toBe(40)
    expect(await server.heardOf('ack')).toEqual([{ type: 'ack', seq: 40 }])
  })
})

describe('requests', () => {
  test('get their answer, the error that names them, or a timeout', async () => {
    const { connection, server, clock } = await liveAndHeld()
    const ask = (): Promise<unknown> =>
      connection.request({ type: 'call', id: testIds(), action: 'tasks.claim', input: {} })
    const [answered, failed, late] = [ask(), ask(), ask()].map((promise) => promise.catch((error: unknown) => error))
    const refs = (await server.heardOf('call')).map(({ ref }) => ref)
    await server.say({
      type: 'error',
      ref: sure(refs[1]),
      fatal: false,
      error: { code: 'forbidden', message: 'no', remedy: '' },
    })
    await server.say({ type: 'called', ref: sure(refs[0]), result: 7 })
    await clock.advance(30_000)
    expect(await answered).toMatchObject({ type: 'called', result: 7 })
    expect(await failed).toMatchObject({ code: 'forbidden' })
    expect(await late).toMatchObject({ code: 'timeout' })
  })

  test('fail at once without a connection, and when it ends', async () => {
    const { connection, server } = await liveAndHeld()
    const waiting = connection.verify('project').catch((error: unknown) => error)
    await server.cut()
    expect(await waiting).toMatchObject({ code: 'offline' })
    await expect(connection.verify('project')).rejects.toMatchObject({ code: 'offline' })
  })

  test('replace a token before it ends', async () => {
    const tokens = ['one', 'two']
    const connected = await connectionOf(async () => tokens.shift() ?? 'three')
    const { server, clock } = connected
    await goLive(connected, { resume: false, tokenExpiresAt: startOfTests + 600_000 })
    await server.heard()
    for (let second = 0; second < 541; second += 60) {
      await clock.advance(60_000)
      await server.say({ type: 'frontier', seq: 1, at: 0 })
    }
    expect((await server.heardOf('authenticate'))[0]).toMatchObject({ token: 'two' })
  })
})

describe('limits', () => {
  test('of subscriptions are told to whoever waits', async () => {
    const { connection, server, replica } = await liveAndHeld()
    const refused: unknown[] = []
    connection.onRefused((id, error) => refused.push([id, error?.code]))
    await replica.addSubscription({ id: 'one-more', channel, embeddings: false })
    const error = { code: 'subscription_limit', message: 'too many', remedy: 'fewer' } as const
    await server.say({ type: 'subscribed', id: 'one-more', error })
    expect(refused).toEqual([['one-more', 'subscription_limit']])
  })

  test('of what the log keeps make a replica fetch everything anew, with its writes', async () => {
    const connected = await liveAndHeld()
    const { server, replica, clock } = connected
    await replica.write([insertTask])
    const error = { code: 'cursor_too_old', message: 'too far', remedy: 'none' } as const
    await server.say({ type: 'error', fatal: true, error })
    expect(replica.subscriptions.map(({ state }) => state)).toEqual(['new'])
    await clock.advance(1000)
    await goLive(connected, { resume: false })
    expect(replica.writes()).toHaveLength(1)
    expect(replica.pendingCount).toBe(1)
  })
})

describe('the end', () => {
  test('of a connection by hand lasts until connect', async () => {
    const { connection, server, clock } = await liveAndHeld()
    connection.disconnect()
    expect(connection.status.connection).toBe('offline')
    const { opens } = server
    await clock.advance(600_000)
    expect(server.opens).toBe(opens)
    connection.connect()
    await clock.advance(0)
    expect(server.opens).toBe(opens + 1)
  })

  test('a closed connection is not opened again by connect()', async () => {
    const { connection, server } = await liveAndHeld()
    await connection.close()
    connection.connect()
    expect(connection.status.connection).toBe('offline')
    expect(server.isOpen).toBe(false)
  })

  test('comes after long silence, and a new connection is made', async () => {
    const { connection, server, clock } = await liveAndHeld()
    const { opens } = server
    await clock.advance(91_000)
    expect(server.opens).toBe(opens + 1)
    expect(connection.status.error?.code).toBe('timeout')
  })
})
