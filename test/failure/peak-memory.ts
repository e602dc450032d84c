// How much memory a process has had at the most, as the kernel counts it: nothing between two looks is missed.
import { accessSync, constants, readFileSync, writeFileSync } from 'node:fs'

/** Linux alone tells it, and lets the count begin anew. */
export const canMeasurePeak = mayReset()

function mayReset(): boolean {
  try {
    accessSync('/proc/self/clear_refs', constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Begins to count anew. Answers how many bytes the process has, and how many it has had at the most since now. */
export function watchPeak(pid: number): { readonly before: number; readonly peak: () => number } {
  const before = read(pid, 'VmRSS')
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
  return { before, peak: () => read(pid, 'VmHWM') }
}

function read(pid: number, name: string): number {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Number(line?.[1]) * 1024
}
