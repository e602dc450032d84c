// Preloaded into a server process (`node --import`): its wall clock is wrong by as many milliseconds as the file says
// that CLOCK_FILE names, from the next SIGUSR2 on; then it says among the log lines what time it thinks it is. Timers
// and monotonic time go on as they do when somebody sets a machine's clock.
import { readFileSync } from 'node:fs'

const MachineDate = Date
let skew = 0

process.on('SIGUSR2', () => {
  skew = Number(readFileSync(process.env['CLOCK_FILE'] ?? '', 'utf8'))
  process.stderr.write(`${JSON.stringify({ level: 30, msg: 'clock set', now: Date.now() })}\n`)
})

globalThis.Date = new Proxy(MachineDate, {
  construct: (target, given: readonly unknown[], self) =>
    Reflect.construct(target, given.length === 0 ? [MachineDate.now() + skew] : [...given], self) as object,
  get: (target, name) => (name === 'now' ? () => MachineDate.now() + skew : (Reflect.get(target, name) as unknown)),
})
