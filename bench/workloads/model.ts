import { loadCatalog } from '../../server/catalog/catalog.ts'
import { openDatabase, type Database } from '../../server/db/db.ts'
import { createRepositories } from '../../server/repositories/repositories.ts'
import { runConcurrently } from '../model/concurrent.ts'
import { fillEveryTable } from '../model/fill.ts'
import { probeIndexes } from '../model/index-probe.ts'
import { seedModel, usageDays, type ModelData } from '../model/model-data.ts'
import { modelQueries, takeSamples } from '../model/queries.ts'
import { planOfUsage } from '../model/usage-plan.ts'
import type { Figure } from '../report.ts'
import { createOwnDatabase } from '../stand/database.ts'
import { percentile } from '../statistics.ts'
import type { Bench, Workload } from '../workload.ts'

/** Connections that the queries are asked on; one at a time, so that a figure is the query and not the queue. */
const poolSize = 20

export const model: Workload = {
  name: 'model',
  title:
    'repositories over 100,000 tasks, a million usages and 50,000 memories; all indexes; a thousand operations at once',
  needsPostgres: true,
  // Most of it is making the data.
  deadlineMs: 1_800_000,
  async run({ stand, progress }) {
    const figures: Figure[] = []
    await onOwnDatabase(stand.databaseUrl, async (database) => {
      const client = await database.pool.connect()
      const sizes = {
        tasks: stand.size(100_000, 2000),
        usages: stand.size(1_000_000, 20_000),
        memories: stand.size(50_000, 1000),
      }
      const data = await seedModel(client, sizes, progress).finally(() => client.release())
      figures.push(...(await measureQueries(database, data, stand.size(300, 5), progress)))
      figures.push(...(await readUsagePlan(database, data)))
      figures.push(...(await measureConcurrent(database, data, stand.size(1000, 100), progress)))
    })
    await onOwnDatabase(stand.databaseUrl, async (database) => {
      figures.push(...(await measureIndexes(database, stand.size(10_000, 2000), progress)))
    })
    return figures
  },
}

async function onOwnDatabase(url: string | undefined, work: (database: Database) => Promise<void>): Promise<void> {
  const own = await createOwnDatabase(url)
  try {
    const database = await openDatabase({ database: { ...own.config, poolSize } })
    try {
      await database.migrate()
      await work(database)
    } finally {
      await database.close()
    }
  } finally {
    await own.drop()
  }
}

async function measureQueries(
  database: Database,
  data: ModelData,
  rounds: number,
  progress: Bench['progress'],
): Promise<readonly Figure[]> {
  const repositories = createRepositories({ database, catalog: loadCatalog() })
  const samples = await takeSamples(repositories, data)
  const actor = { organizationId: data.organizationId, userId: data.userId }
  // What the machine takes for a unit with nothing in it: a transaction of one trivial statement.
  const timeOf = async (rounds: number, run: (round: number) => Promise<unknown>): Promise<readonly number[]> => {
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      const start = performance.now()
      await run(round)
      times.push(performance.now() - start)
    }
    return times
  }
  const empty = mean(
    await timeOf(rounds, () => repositories.withUnit(actor, ({ query }) => query({ text: 'select 1' }))),
  )
  const limit = { what: 'an empty unit', value: empty }
  const figures: Figure[] = []
  let [slowest, worst] = [0, 0]
  for (const query of modelQueries(data, samples)) {
    const { name, what, isMany = false } = query
    const ask = (round: number): Promise<unknown> => repositories.withUnit(actor, (unit) => query.run(unit, round))
    // The first ones load the code and the pages.
    await timeOf(Math.min(5, rounds), ask)
    const times = await timeOf(rounds, ask)
    const [average, p99] = [mean(times), percentile(times, 0.99)]
    if (!isMany) {
      slowest = Math.max(slowest, average)
      worst = Math.max(worst, p99)
    }
    progress(`  ${what}: ${average.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`)
    figures.push({ name, what: `${what}: average`, value: average, unit: 'ms', limit })
    figures.push({ name: `${name}-p99`, what: `${what}: p99`, value: p99, unit: 'ms' })
  }
  return [
    { name: 'average', what: 'the slowest query: average', value: slowest, unit: 'ms', limit },
    { name: 'p99', what: 'the slowest query: p99', value: worst, unit: 'ms' },
    ...figures,
  ]
}

async function readUsagePlan(database: Database, { projectIds }: ModelData): Promise<readonly Figure[]> {
  const to = new Date()
  const plan = await planOfUsage(database.pool, projectIds[0] ?? '', new Date(to.getTime() - 7 * 86_400_000), to)
  const months = Math.round(usageDays / 30)
  const isCovered = plan.ways.length === 1 && plan.ways[0] === 'Index Only Scan'
  return [
    {
      name: 'usage-partitions',
      what: `partitions that a week's usage reads, of ${months} and more: ${plan.partitions.join(', ')}`,
      value: plan.partitions.length,
      unit: 'partitions',
    },
    {
      name: 'usage-covered',
      what: `read by the covering index alone (${plan.indexes.join('; ')})`,
      value: isCovered ? 1 : 0,
      unit: '',
    },
  ]
}

async function measureConcurrent(
  database: Database,
  data: ModelData,
  operations: number,
  progress: Bench['progress'],
): Promise<readonly Figure[]> {
  const repositories = createRepositories({ database, catalog: loadCatalog() })
  const [projectId = '', agentId = ''] = [data.projectIds[0], data.agentIds[0]]
  const { seconds, wrong } = await runConcurrently(
    repositories,
    { organizationId: data.organizationId, userId: data.userId },
    { projectId, agentId },
    operations,
  )
  for (const line of wrong.slice(0, 20)) progress(`  wrong: ${line}`)
  return [
    { name: 'concurrent', what: `${operations} claims, patches and inserts at once`, value: seconds, unit: 's' },
    { name: 'concurrent-wrong', what: 'of them lost, double or failed', value: wrong.length, unit: '' },
  ]
}

async function measureIndexes(
  database: Database,
  rows: number,
  progress: Bench['progress'],
): Promise<readonly Figure[]> {
  const client = await database.pool.connect()
  try {
    progress(`Filling every table with ${rows} rows`)
    await fillEveryTable(client, rows, progress)
    const probed = await probeIndexes(client)
    const bad = probed.filter(({ isTaken, times }) => !isTaken || times < 5)
    for (const { name, isTaken, times, statement } of bad)
      progress(`  ${name}: ${isTaken ? '' : 'not '}taken, ${times.toFixed(1)} times: ${statement.slice(0, 200)}`)
    return [
      {
        name: 'indexes',
        what: 'indexes, each taken by the query that it is for',
        value: probed.length - bad.length,
        unit: '',
      },
      {
        name: 'indexes-bad',
        what: 'indexes that are not, or make it less than five times cheaper',
        value: bad.length,
        unit: '',
      },
      {
        name: 'indexes-others',
        what: 'of all: another one fits those values even better',
        value: probed.filter(({ name, preferred }) => preferred !== undefined && preferred !== name).length,
        unit: '',
      },
      {
        name: 'indexes-times',
        what: 'how many times cheaper the least helpful one makes its query',
        value: Math.min(...probed.map(({ times }) => times)),
        unit: 'times',
      },
    ]
  } finally {
    client.release()
  }
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
