/**
 * The `tidewire` command. Each command reads the settings, opens the database (through the running server's socket
 * when the embedded one is in use), does one thing, and ends with one of the exit codes of `console.ts`.
 */
import { Command, CommanderError } from 'commander'
import packageJson from '../../package.json' with { type: 'json' }
import { Cli, type Environment } from './command.ts'
import { registerBackup } from './commands/backup.ts'
import { registerConflicts } from './commands/conflicts.ts'
import { registerCosts } from './commands/costs.ts'
import { registerCredentials } from './commands/credentials.ts'
import { registerInspect } from './commands/inspect.ts'
import { registerPeople } from './commands/people.ts'
import { registerSchema } from './commands/schema.ts'
import { registerServer } from './commands/server.ts'
import { registerUpkeep } from './commands/upkeep.ts'
import { exitCodeHelp, exitCodes, reportError } from './console.ts'

/** In the order in which the help shows them. */
const registers: readonly ((cli: Cli) => void)[] = [
  registerServer,
  registerSchema,
  registerPeople,
  registerInspect,
  registerConflicts,
  registerUpkeep,
  registerBackup,
  registerCosts,
  registerCredentials,
]

/** Runs one command line (without node and script) and returns its exit code. */
export async function runCli(args: readonly string[], env: Environment): Promise<number> {
  const program = new Command('tidewire')
    .description('One live state for agents, devices and apps.')
    .version(packageJson.version, '--version', 'print the version')
    .addHelpText('after', exitCodeHelp)
    .showHelpAfterError('(tidewire --help lists the commands)')
    .exitOverride()
  const cli = new Cli(program, env)
  for (const register of registers) register(cli)
  try {
    await program.parseAsync([...args], { from: 'user' })
    return cli.exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage
    return reportError(error, args.includes('--json'))
  }
}
