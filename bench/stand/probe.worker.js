// Preloaded into the server under test (`node --import`): on SIGUSR2 it collects garbage and writes what is left to a
// file, so that memory per connection is told apart from garbage that nobody needed to collect yet. Plain JavaScript: to strip types Node
// loads a compiler of 18 MB, which the server itself does without once its modules are in the cache.
import { renameSync, writeFileSync } from 'node:fs'
import { isMainThread } from 'node:worker_threads'

const file = process.env['BENCH_PROBE_FILE']

if (isMainThread && file !== undefined) {
  process.on('SIGUSR2', () => {
    for (let round = 0; round < 3; round++) globalThis.gc?.()
    writeFileSync(`${file}.part`, JSON.stringify(process.memoryUsage()))
    renameSync(`${file}.part`, file)
  })
}
