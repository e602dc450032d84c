import { spawn, type ChildProcess } from 'node:child_process'

/**
 * Has a child killed when this process ends, however it ends: one that is killed hard cannot stop what it has started.
 * `group`: the child leads a process group (`detached`), which ends as a whole.
 *
 * A shell waits for the end of a pipe that only this process holds; so it works for a child that stands still too, and
 * for one of any program.
 */
export function endWithUs(child: ChildProcess, { group = false } = {}): void {
  if (child.pid === undefined) return
  const guard = spawn('sh', ['-c', 'read -r _; kill -KILL "$0"', `${group ? '-' : ''}${child.pid}`], {
    stdio: ['pipe', 'ignore', 'ignore'],
    // Whoever ends this process by its group must not end the guard before.
    detached: true,
  })
  guard.unref()
  // Its number may be another's by then.
  child.once('exit', () => guard.kill('SIGKILL'))
}
