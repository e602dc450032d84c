import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { openEngineSocket, type EngineConnection } from '../client/engine-socket.ts'
import { pause, until } from '../pause.ts'
import { summarize, type Summary } from '../statistics.ts'
import { heapFlags, ProcessMemory, probeOptions } from '../stand/process-memory.ts'

export type RawKind = 'ws' | 'socket.io'

/** What the parent asks of `raw-server.worker.ts`. */
export type RawCommand =
  | { readonly kind: 'paced'; readonly bytes: number; readonly perSecond: number; readonly seconds: number }
  | { readonly kind: 'flood'; readonly bytes: number; readonly seconds: number }

/** What it answers. */
export type RawReport =
  | { readonly kind: 'ready'; readonly port: number }
  | { readonly kind: 'sent'; readonly messages: number }

/** A bare server and its process. */
interface RawServer {
  readonly url: string
  readonly memory: ProcessMemory
  run(command: RawCommand): Promise<number>
  stop(): Promise<void>
}

/** Bytes of a raw message: about what one of our frames with one task has. */
export const rawBytes = 1200

/**
 * Latency of a broadcast at a given pace: from the call of send in the server to the whole message in the client.
 * Milliseconds.
 */
export async function broadcastLatency(
  kind: RawKind,
  clients: number,
  perSecond: number,
  seconds: number,
): Promise<Summary> {
  const latencies: number[] = []
  await withServer(kind, async (server) => {
    const connections = await connectAll(server.url, clients, (text) => latencies.push(sinceSent(text)))
    const messages = await server.run({ kind: 'paced', bytes: rawBytes, perSecond, seconds })
    await until(`${messages * clients} raw messages`, () => latencies.length >= messages * clients)
    for (const connection of connections) connection.close()
  })
  return summarize(latencies)
}

/** Messages delivered per second, all clients together, as fast as it goes. */
export async function broadcastRate(
  kind: RawKind,
  clients: number,
  seconds: number,
  bytes = rawBytes,
): Promise<number> {
  let received = 0
  let elapsed = 0
  await withServer(kind, async (server) => {
    const connections = await connectAll(server.url, clients, () => received++)
    const start = performance.now()
    const messages = await server.run({ kind: 'flood', bytes, seconds })
    await until(`${messages * clients} raw messages`, () => received >= messages * clients)
    elapsed = (performance.now() - start) / 1000
    for (const connection of connections) connection.close()
  })
  return received / elapsed
}

/** Bytes per idle connection of a bare server: resident, and held by JavaScript, each after a collection. */
export async function idleMemory(
  kind: RawKind,
  clients: number,
): Promise<{ readonly resident: number; readonly held: number }> {
  return withServer(kind, async (server) => {
    // The first connections load code and fill pools: not what one more costs.
    await connectAll(server.url, 50, () => undefined)
    await pause(300)
    const before = await server.memory.settled()
    const connections = await connectAll(server.url, clients, () => undefined)
    await pause(1000)
    const after = await server.memory.settled()
    for (const connection of connections) connection.close()
    return { resident: (after.resident - before.resident) / clients, held: (after.held - before.held) / clients }
  })
}

function sinceSent(text: string): number {
  const sentAt = BigInt(/\d{6,}/.exec(text.slice(0, 60))?.[0] ?? '0')
  return Number(process.hrtime.bigint() - sentAt) / 1e6
}

async function withServer<T>(kind: RawKind, work: (server: RawServer) => Promise<T>): Promise<T> {
  const probe = probeOptions()
  const child = fork(fileURLToPath(new URL('./raw-server.worker.ts', import.meta.url)), [kind], {
    execArgv: [...heapFlags, ...probe.flags],
    env: { ...process.env, ...probe.env },
  })
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  try {
    const ready = await nextReport(child)
    if (ready.kind !== 'ready') throw new Error('The raw server did not say where it listens.')
    const run = async (command: RawCommand): Promise<number> => {
      child.send(command)
      const report = await nextReport(child)
      return report.kind === 'sent' ? report.messages : 0
    }
    return await work({
      url: `http://127.0.0.1:${ready.port}`,
      memory: new ProcessMemory(child.pid ?? 0, probe.env),
      run,
      stop,
    })
  } finally {
    await stop()
  }
}

async function nextReport(child: ChildProcess): Promise<RawReport> {
  const [report] = (await once(child, 'message')) as [RawReport]
  return report
}

async function connectAll(
  url: string,
  count: number,
  onText: (text: string) => void,
): Promise<readonly EngineConnection[]> {
  const connections: EngineConnection[] = []
  while (connections.length < count) {
    const some = Array.from({ length: Math.min(100, count - connections.length) }, () => connectOne(url, onText))
    connections.push(...(await Promise.all(some)))
  }
  return connections
}

function connectOne(url: string, onText: (text: string) => void): Promise<EngineConnection> {
  return new Promise((resolve, reject) => {
    const connection = openEngineSocket(url, {
      // socket.io: 0 connect (asked, then confirmed), 2 event.
      opened: () => connection.send('0'),
      message: (data) => {
        const text = data.toString()
        if (text.startsWith('2')) onText(text)
        else resolve(connection)
      },
      closed: (reason) => reject(new Error(`A raw client could not connect: ${reason}.`)),
    })
  })
}
