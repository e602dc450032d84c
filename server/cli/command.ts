import type { Command } from 'commander'
import type { Catalog } from '../catalog/catalog.ts'
import { loadConfig, type Config } from '../config.ts'
import type { Database } from '../db/db.ts'
import type { Application } from '../tide-server.ts'
import { createConsole, exitCodeHelp, exitCodes, type Console } from './console.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** What a command is given. */
export interface Job {
  readonly config: Config
  readonly console: Console
  /** What `--app` or TIDEWIRE_APP names; empty without. */
  readonly application: Application
}

export interface DatabaseJob extends Job {
  readonly database: Database
  /** Of the shipped tables and those of the application. */
  readonly catalog: Catalog
}

/** Returns the exit code; nothing means that all went well. */
type Work<J, Options, Args extends readonly unknown[]> = (
  job: J,
  options: Options,
  ...args: Args
) => Promise<number | void>

/** As commander calls it: arguments, options, the command. */
type Action = (...given: unknown[]) => Promise<void>

/**
 * What commands are registered with. Their code is loaded when they run: the help, and a command that needs little, do
 * not wait for the whole server.
 */
export class Cli {
  readonly #program: Command
  readonly #env: Environment
  exitCode: number = exitCodes.ok

  constructor(program: Command, env: Environment) {
    this.#program = program
    this.#env = env
  }

  /** The commands from here on stand under this heading in the help. */
  group(heading: string): void {
    this.#program.commandsGroup(`${heading}:`)
  }

  /** A command, or with `parent` one of its subcommands. */
  command(name: string, description: string, parent: Command = this.#program): Command {
    return parent
      .command(name)
      .description(description)
      .option('--json', 'answer in JSON, for programs')
      .option('--app <file>', 'module of an application with tables or actions of its own (default: TIDEWIRE_APP)')
      .addHelpText('after', exitCodeHelp)
  }

  /** The action of a command that needs no database. */
  run<Options = object, Args extends readonly unknown[] = []>(work: Work<Job, Options, Args>): Action {
    return async (...given) => {
      const self = given.at(-1) as Command
      const { json = false, app, ...options } = self.optsWithGlobals<{ json?: boolean; app?: string }>()
      const config = loadConfig(app === undefined ? this.#env : { ...this.#env, TIDEWIRE_APP: app })
      const application =
        config.app === undefined ? {} : await (await import('./application.ts')).loadApplication(config.app)
      const job = { config, console: createConsole(json), application }
      const code = await work(job, options as Options, ...(given.slice(0, -2) as unknown as Args))
      this.exitCode = code ?? exitCodes.ok
    }
  }

  /** The action of a command that works on the database. `create`: one is made where there is none. */
  onDatabase<Options = object, Args extends readonly unknown[] = []>(
    work: Work<DatabaseJob, Options, Args>,
    { create = false }: { readonly create?: boolean } = {},
  ): Action {
    return this.run<Options, Args>(async (job, options, ...args) => {
      const [{ useDatabase }, { loadCatalog }] = await Promise.all([
        import('./use-database.ts'),
        import('../catalog/catalog.ts'),
      ])
      const { config, application } = job
      const use = async (database: Database): Promise<number | void> => {
        const dimension = { embeddingDimension: config.embedding.dimension }
        const given = { ...job, database, catalog: loadCatalog(application.entities, dimension) }
        return work(given, options, ...args)
      }
      return useDatabase(config, use, { create, own: application })
    })
  }
}
