/** What `tidewire.js` runs: the command line of this process. */
import { processEnvironment } from '../config.ts'
import { runCli } from './cli.ts'

process.exitCode = await runCli(process.argv.slice(2), processEnvironment())
// Handles of libraries must not keep a finished command alive.
if (process.argv[2] !== 'start' || process.exitCode !== 0) process.stdout.write('', () => process.exit())
