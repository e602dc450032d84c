#!/usr/bin/env node
// The `tidewire` command. The CLI is TypeScript and runs by Node's own type stripping, which Node has from 22.18 on. On an older
// Node this launcher hands over to the Node that comes with the dependencies, so that the command works wherever npm does.
// Plain JavaScript, because an old Node must be able to read it.
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync } from 'node:fs'
// As a whole: a Node that knows no compile cache would not even load a file that imports it by name.
import * as module from 'node:module'
import { constants, homedir } from 'node:os'
import { dirname, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const CONDITION = '--conditions=tidewire:source'

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
const stripsTypes = major > 22 || (major === 22 && minor >= 18)
const hasCondition = [...process.execArgv, process.env['NODE_OPTIONS'] ?? ''].some((flag) => flag.includes(CONDITION))

if (stripsTypes && hasCondition) {
  keepCompiled()
  await import('./main.ts')
} else handOver(stripsTypes ? process.execPath : bundledNode())

/**
 * Node keeps what it has compiled, and the next start takes half the CPU (docs/performance.md). A folder that cannot be written is no
 * reason not to start: then nothing is kept.
 */
function keepCompiled() {
  const folder = process.env['TIDEWIRE_CACHE'] || '~/.cache/tidewire'
  if (folder === 'off') return
  try {
    const compiled = resolve(folder.replace(/^~(?=\/)/, homedir()), 'compiled')
    makeFolder(compiled)
    module.enableCompileCache(compiled)
  } catch {
    // Nobody's home, a file in the way, a disk that is read-only.
  }
}

/** With those above it. Node's own does not end where a file system takes no folders at all, such as /proc. */
function makeFolder(path) {
  try {
    mkdirSync(path)
  } catch (error) {
    if (error.code === 'EEXIST') return
    if (error.code !== 'ENOENT') throw error
    makeFolder(dirname(path))
    mkdirSync(path)
  }
}

/** Path of the Node of the dependency `node`; ends the process with what to do when it is not there. */
function bundledNode() {
  const path = fileURLToPath(new URL('../../node_modules/node/bin/node', import.meta.url))
  if (existsSync(path)) return path
  process.stderr.write(
    `tidewire needs Node 22.18 or later, this is ${process.versions.node} and ${path} is missing.\n` +
      'Run `npm ci` in the checkout (it brings Node 24), or install Node 24.\n',
  )
  process.exit(69)
}

/** Runs this file by that Node, in a child that has our terminal, passes signals on, and ends as the child ends. */
function handOver(node) {
  // New objects get at most 3 × 16 MB, which V8 never gives back: without a limit a burst takes 128 MB (docs/performance.md).
  const flags = [CONDITION, '--disable-warning=ExperimentalWarning', '--max-semi-space-size=16']
  // glibc would keep what compiling took, 60 to 90 MB with the embedded database: with a fixed threshold it gives large blocks back.
  const env = { MALLOC_TRIM_THRESHOLD_: '131072', ...process.env }
  const child = spawn(node, [...flags, fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env,
  })
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']) {
    process.on(signal, () => {
      // A terminal sends Ctrl-C to the whole process group: the child has it already, and twice means "at once".
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    })
  }
  child.on('error', (error) => {
    process.stderr.write(`tidewire could not start ${node}: ${error.message}\n`)
    process.exit(71)
  })
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal ? constants.signals[signal] : 0)))
}
