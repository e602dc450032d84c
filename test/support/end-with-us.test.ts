import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

const module = fileURLToPath(new URL('./end-with-us.ts', import.meta.url))
/** Starts a group of two that goes on for ever, of which the second says its number, and waits. */
const parent = `
import { spawn } from 'node:child_process'
import { endWithUs } from ${JSON.stringify(module)}
const child = spawn('sh', ['-c', 'sleep 600 & echo $!; wait'], { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
endWithUs(child, { group: true })
child.stdout.once('data', (number) => {
  if (process.argv[1] === 'stopped') process.kill(-child.pid, 'SIGSTOP')
  process.stdout.write(number)
})
`

test.each(['running', 'stopped'])('a group that is %s ends when its parent is killed hard', async (state) => {
  const args = ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', parent, '--', state]
  const started = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const ended = once(started.stderr.resume(), 'end')
  await once(started.stdout, 'readable')
  expect(Number(started.stdout.read())).toBeGreaterThan(0)
  started.kill('SIGKILL')
  // The group holds it open, too.
  await ended
})
