// Does what a Dockerfile says without Docker: each stage is a folder, each step is done in it. Knows the instructions
// that ours has, and refuses others, so that nothing is left out unnoticed.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import dockerignore from '@balena/dockerignore'
import { DockerfileParser, type Copy, type Instruction } from 'dockerfile-ast'
import { z } from 'zod'

export interface Image {
  /** The folder that stands for `/`. */
  readonly root: string
  readonly workdir: string
  readonly env: Readonly<Record<string, string>>
  readonly user: string
  readonly entrypoint: readonly string[]
  readonly cmd: readonly string[]
  readonly healthcheck: readonly string[]
  readonly ports: readonly string[]
  readonly volumes: readonly string[]
  readonly stopSignal: string
  readonly labels: readonly string[]
  /** Of the distribution, by name: the one step that is not done here, for it would change this machine. */
  readonly packages: readonly string[]
}

type Draft = { -readonly [K in keyof Image]: Image[K] }

/** Files of the build context: everything that .dockerignore lets in. */
export function contextFiles(context: string): readonly string[] {
  const ignored = dockerignore.default({ ignorecase: false }).add(readFileSync(join(context, '.dockerignore'), 'utf8'))
  return readdirSync(context, { withFileTypes: true })
    .filter((entry) => !['node_modules', '.git', '.cache', 'dist'].includes(entry.name))
    .flatMap((entry) =>
      entry.isDirectory()
        ? readdirSync(join(context, entry.name), { recursive: true, encoding: 'utf8' }).map((path) =>
            join(entry.name, path),
          )
        : [entry.name],
    )
    .filter(
      (path) => !path.includes('node_modules') && statSync(join(context, path)).isFile() && !ignored.ignores(path),
    )
}

export function buildImage(context: string, into: string): Image {
  const file = DockerfileParser.parse(readFileSync(join(context, 'Dockerfile'), 'utf8'))
  const stages = new Map<string, Draft>()
  let stage: Draft | undefined
  for (const instruction of file.getInstructions()) {
    if (instruction.getKeyword() === 'FROM') {
      const [base = '', , name = 'last'] = texts(instruction)
      if (base !== 'node:24-slim') throw new Error(`This stage begins with ${base}, which is not known here.`)
      stage = emptyStage(join(into, name))
      stages.set(name, stage)
      continue
    }
    if (!stage) throw new Error('The first instruction is not FROM.')
    step(instruction, { stage, stages, context })
  }
  if (!stage) throw new Error('The file has no stage.')
  return stage
}

function emptyStage(root: string): Draft {
  mkdirSync(root, { recursive: true })
  return {
    root,
    workdir: '/',
    env: {},
    user: 'root',
    entrypoint: [],
    cmd: [],
    healthcheck: [],
    ports: [],
    volumes: [],
    stopSignal: 'SIGTERM',
    labels: [],
    packages: [],
  }
}

interface Place {
  readonly stage: Draft
  readonly stages: ReadonlyMap<string, Draft>
  readonly context: string
}

function step(instruction: Instruction, { stage, stages, context }: Place): void {
  const words = texts(instruction)
  switch (instruction.getKeyword()) {
    case 'WORKDIR':
      stage.workdir = words[0] ?? '/'
      mkdirSync(join(stage.root, stage.workdir), { recursive: true })
      return
    case 'COPY':
      return copy(instruction as Copy, words, { stage, stages, context })
    case 'RUN':
      return run(words, stage)
    case 'ENV':
      for (const [name, value] of pairs(words)) stage.env = { ...stage.env, [name]: value }
      return
    case 'LABEL':
      stage.labels = pairs(words).map(([name]) => name)
      return
    case 'USER':
      stage.user = words[0] ?? ''
      return
    case 'VOLUME':
      stage.volumes = words
      return
    case 'EXPOSE':
      stage.ports = words
      return
    case 'STOPSIGNAL':
      stage.stopSignal = words[0] ?? ''
      return
    case 'ENTRYPOINT':
      stage.entrypoint = jsonOf(instruction)
      return
    case 'CMD':
      stage.cmd = jsonOf(instruction)
      return
    case 'HEALTHCHECK':
      stage.healthcheck = jsonOf(instruction)
      return
    default:
      throw new Error(`What ${instruction.getKeyword()} does is not known here.`)
  }
}

function copy(instruction: Copy, words: readonly string[], { stage, stages, context }: Place): void {
  const target = words.at(-1) ?? '.'
  const to = (path: string): string => join(stage.root, target.startsWith('/') ? '' : stage.workdir, path)
  const from = instruction.getFromFlag()?.getValue()
  for (const source of words.slice(0, -1)) {
    if (from !== undefined && from !== null) {
      const other = stages.get(from)
      if (!other) throw new Error(`There is no stage ${from} to copy from.`)
      cpSync(join(other.root, source), to(target), { recursive: true, verbatimSymlinks: true })
      continue
    }
    const files = contextFiles(context).filter(
      (path) => source === '.' || path === source || path.startsWith(`${source}/`),
    )
    if (files.length === 0) throw new Error(`Nothing of ${source} is in the build context.`)
    for (const path of files) {
      const name =
        source === '.' ? path : target === '.' || target === './' ? path : join(target, relative(dirname(source), path))
      mkdirSync(dirname(to(name)), { recursive: true })
      cpSync(join(context, path), to(name))
    }
  }
}

/** In a shell, in the working directory; a path that begins at `/` begins at the stage's folder. */
function run(words: readonly string[], stage: Draft): void {
  if (words.includes('apt-get')) {
    stage.packages = words.filter((word) => word.startsWith('postgresql-client'))
    return
  }
  const command = words.join(' ').replaceAll(/(?<=\s)\/(?=\w)/g, `${stage.root}/`)
  const result = spawnSync('sh', ['-ec', command], {
    cwd: join(stage.root, stage.workdir),
    encoding: 'utf8',
    env: { PATH: process.env['PATH'], HOME: process.env['HOME'], npm_config_prefer_offline: 'true', ...stage.env },
  })
  if (result.status !== 0) throw new Error(`\`${command}\` failed:\n${result.stdout}${result.stderr}`)
}

function texts(instruction: Instruction): string[] {
  return instruction.getArguments().map((argument) => argument.getValue())
}

/** The last part of the instruction, which is a list in JSON. In the other form signals would go to a shell. */
function jsonOf(instruction: Instruction): readonly string[] {
  const content = instruction.getArgumentsContent() ?? ''
  return z
    .array(z.string())
    .min(1)
    .parse(JSON.parse(content.slice(content.indexOf('['))))
}

/** `NAME=value` and `NAME="value"`. */
function pairs(words: readonly string[]): readonly (readonly [string, string])[] {
  return words.map((word) => {
    const [, name = '', value = ''] = /^([^=]+)="?(.*?)"?$/s.exec(word) ?? []
    return [name, value] as const
  })
}
