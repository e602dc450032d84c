import { existsSync, watch } from 'node:fs'
import { chmod, mkdir, rm } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { dirname, join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { Clock } from '../../lib/clock.ts'
import { lockFolder } from '../../lib/folder-lock.ts'
import { TideError } from '../../protocol/error.ts'
import { DataTemplate } from './data-template.ts'
import type { EmbeddedWorkerData, EmbeddedWorkerMessage, EmbeddedWorkerTask } from './embedded-worker.ts'
import { findSocket, placeSocket, removeSocket } from './socket-path.ts'

/** A running embedded database, as other connections reach it. */
export interface Embedded {
  /** Folder of the socket: the `host` of a Postgres client, with port 5432. */
  readonly host: string
  /** False when another process runs it and this one has only attached. */
  readonly owned: boolean
  /**
   * Once the schema is there: keeps a copy for other new databases. Only of one that was made from nothing just now.
   */
  readonly keepTemplate?: () => Promise<void>
  /** Checkpoints, closes and unlocks; nothing when only attached. */
  close(): Promise<void>
}

/**
 * - `own`: start the database here; `replica_locked` when another process has the folder
 * - `attach`: use the one that runs; `not_running` when none does
 * - `either`: attach when one runs, else start it here
 */
export type EmbeddedMode = 'own' | 'attach' | 'either'

/** How long a process that has the folder may take until it answers. */
const bootLimitMs = 60_000
/** A transaction may be silent this long while others wait for the one backend. */
const idleTransactionMs = 60_000
/**
 * Of JavaScript in the database's thread, which makes little but copies of answers; V8 would let it grow to 48 and keep
 * it.
 */
const youngMb = 8

export interface EmbeddedOptions {
  readonly mode: EmbeddedMode
  readonly clock: Clock
  /** Folder where templates of new databases are kept; absent: none are. */
  readonly cacheDir?: string
  /** The database's thread ended by itself, after which nothing works any more. */
  readonly onCrash: (error: Error) => void
}

/** Opens the data folder. */
export async function openEmbedded(dataDir: string, options: EmbeddedOptions): Promise<Embedded> {
  const { mode } = options
  if (mode === 'attach') return attach(dataDir)
  await mkdir(dataDir, { recursive: true, mode: 0o700 })
  await chmod(dataDir, 0o700)
  try {
    return await start(dataDir, options)
  } catch (error) {
    if (mode === 'own' || !isLocked(error)) throw error
    return startOrAttach(dataDir, options)
  }
}

/** Whoever has the folder may still be on its way up, or down. */
async function startOrAttach(dataDir: string, options: EmbeddedOptions): Promise<Embedded> {
  const { clock } = options
  const deadline = clock.monotonic() + bootLimitMs
  // Nothing else keeps a command alive while it waits.
  const watcher = watch(dataDir)
  try {
    for (;;) {
      if ((await livingSocket(dataDir)) !== undefined) return await attach(dataDir)
      await new Promise<void>((resolve) => void clock.after(100, resolve))
      const started = await start(dataDir, options).catch((error: unknown) => {
        if (!isLocked(error) || clock.monotonic() > deadline) throw error
      })
      if (started) return started
    }
  } finally {
    watcher.close()
  }
}

function isLocked(error: unknown): boolean {
  return error instanceof TideError && error.code === 'replica_locked'
}

async function attach(dataDir: string): Promise<Embedded> {
  const path = await findSocket(dataDir)
  if (path === undefined) {
    throw new TideError('not_running', `No server runs on ${dataDir}.`, {
      remedy: 'Start it with `npx tidewire start`, or set TIDEWIRE_DATA to its folder.',
    })
  }
  return { host: dirname(path), owned: false, close: () => Promise.resolve() }
}

async function start(dataDir: string, { cacheDir, onCrash }: EmbeddedOptions): Promise<Embedded> {
  const lock = await lockFolder(dataDir)
  try {
    await refuseLiving(dataDir)
    const socketPath = await placeSocket(dataDir)
    const data: EmbeddedWorkerData = { dataDir: join(dataDir, 'pgdata'), socketPath, idleTransactionMs }
    const template = cacheDir === undefined || existsSync(data.dataDir) ? undefined : new DataTemplate(cacheDir)
    let copied = (await template?.copyTo(data.dataDir)) ?? false
    const worker = await startWorker(data, onCrash).catch(async (error: unknown) => {
      if (!copied) throw error
      copied = false
      await template?.drop()
      await rm(data.dataDir, { recursive: true, force: true })
      return startWorker(data, onCrash)
    })
    return {
      ...(template && !copied ? { keepTemplate: () => template.keep((target) => worker.copy(target)) } : {}),
      host: dirname(socketPath),
      owned: true,
      async close() {
        await worker.close()
        await removeSocket(dataDir, socketPath)
        await lock.release()
      },
    }
  } catch (error) {
    await lock.release()
    throw error
  }
}

/** Containers that share the folder do not see each other's processes, but they do share the socket. */
async function refuseLiving(dataDir: string): Promise<void> {
  const path = await livingSocket(dataDir)
  if (path !== undefined)
    throw new TideError('replica_locked', `The folder ${dataDir} is in use: a server answers on ${path}.`)
}

/** The socket of the folder, if somebody answers on it. */
async function livingSocket(dataDir: string): Promise<string | undefined> {
  const path = await findSocket(dataDir)
  if (path === undefined) return undefined
  return new Promise((resolve) => {
    const socket = createConnection(path, () => {
      socket.destroy()
      resolve(path)
    })
    socket.on('error', () => resolve(undefined))
  })
}

interface DatabaseThread {
  /** Copies the data folder as it is now. */
  copy(target: string): Promise<void>
  close(): Promise<void>
}

async function startWorker(data: EmbeddedWorkerData, onCrash: (error: Error) => void): Promise<DatabaseThread> {
  const worker = new Worker(new URL('./embedded-worker.ts', import.meta.url), {
    workerData: data,
    resourceLimits: { maxYoungGenerationSizeMb: youngMb },
  })
  let phase: 'starting' | 'running' | 'closing' = 'starting'
  const ready = Promise.withResolvers<void>()
  const copied = Promise.withResolvers<void>()
  const closed = Promise.withResolvers<void>()
  // Most are never copied.
  copied.promise.catch(() => undefined)
  const fail = (error: Error): void => {
    if (phase === 'running') onCrash(error)
    ready.reject(error)
    copied.reject(error)
    closed.resolve()
  }
  const tell = (task: EmbeddedWorkerTask): void => worker.postMessage(task)
  worker.on('message', (message: EmbeddedWorkerMessage) => {
    if (message.kind === 'ready') ready.resolve()
    else if (message.kind === 'closed') closed.resolve()
    else if (message.error === null) copied.resolve()
    else copied.reject(new Error(message.error))
  })
  worker.on('error', (error: unknown) => fail(error instanceof Error ? error : new Error(String(error))))
  worker.on('exit', (code) => fail(new Error(`The database's thread ended with code ${code}.`)))
  await ready.promise
  phase = 'running'
  return {
    async copy(target) {
      tell({ kind: 'copy', target })
      await copied.promise
    },
    async close() {
      phase = 'closing'
      tell({ kind: 'close' })
      await closed.promise
      await worker.terminate()
    },
  }
}
