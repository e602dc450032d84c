import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { pause } from '../pause.ts'

/**
 * The limits of memory that the launcher (server/cli/tidewire.js) sets; the bare servers get them too, so that they
 * compare.
 */
export const heapFlags = ['--max-semi-space-size=16'] as const
const heapEnv = { MALLOC_TRIM_THRESHOLD_: '131072' }

/** Flags and environment that let `ProcessMemory.settled` work in a Node process to be started. */
export function probeOptions(): { readonly flags: readonly string[]; readonly env: Readonly<Record<string, string>> } {
  const probe = fileURLToPath(new URL('./probe.worker.js', import.meta.url))
  const file = join(tmpdir(), `tidewire-bench-probe-${process.pid}-${probes++}.json`)
  return { flags: ['--expose-gc', '--import', probe], env: { ...heapEnv, BENCH_PROBE_FILE: file } }
}

let probes = 0

/** Memory of another process, from Linux's /proc. Bytes. */
export class ProcessMemory {
  readonly #pid: number
  readonly #probeFile: string

  constructor(pid: number, probeEnv: Readonly<Record<string, string>>) {
    this.#pid = pid
    this.#probeFile = probeEnv['BENCH_PROBE_FILE'] ?? ''
  }

  /** Resident now. */
  get resident(): number {
    return this.#status('VmRSS')
  }

  /** The most that was resident since the start or `resetPeak`. */
  get peak(): number {
    return this.#status('VmHWM')
  }

  resetPeak(): void {
    writeFileSync(`/proc/${this.#pid}/clear_refs`, '5')
  }

  /** After a collection of all garbage: what is resident, and what JavaScript still holds (heap and buffers). */
  async settled(): Promise<{ readonly resident: number; readonly held: number }> {
    rmSync(this.#probeFile, { force: true })
    process.kill(this.#pid, 'SIGUSR2')
    for (let waited = 0; !existsSync(this.#probeFile); waited += 10) {
      if (waited > 30_000) throw new Error(`Process ${this.#pid} did not answer the memory probe within 30 s.`)
      await pause(10)
    }
    const usage = JSON.parse(readFileSync(this.#probeFile, 'utf8')) as NodeJS.MemoryUsage
    rmSync(this.#probeFile, { force: true })
    return { resident: usage.rss, held: usage.heapUsed + usage.external }
  }

  #status(field: string): number {
    const line = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${this.#pid}/status`, 'utf8'))
    if (!line) throw new Error(`/proc/${this.#pid}/status has no ${field}.`)
    return Number(line[1]) * 1024
  }
}
