import type pg from 'pg'

/**
 * Commits per second of one statement run over and over on each of the connections. `run` gets the connection and a
 * running number.
 */
export async function commitsPerSecond(
  clients: readonly pg.Client[],
  seconds: number,
  run: (client: pg.Client, index: number) => Promise<unknown>,
): Promise<number> {
  let count = 0
  const start = performance.now()
  const end = start + seconds * 1000
  await Promise.all(
    clients.map(async (client) => {
      while (performance.now() < end) await run(client, count++)
    }),
  )
  return count / ((performance.now() - start) / 1000)
}

/** The limit for commits: one narrow row into a table without indexes, triggers or capture. */
export async function plainCommitsPerSecond(
  connect: () => Promise<pg.Client>,
  connections: number,
  seconds: number,
): Promise<number> {
  const clients = await Promise.all(Array.from({ length: connections }, connect))
  await clients[0]?.query('create table if not exists sync.bench_commits (n bigint)')
  const rate = await commitsPerSecond(clients, seconds, (one, index) =>
    one.query({ name: 'bench_commit', text: 'insert into sync.bench_commits (n) values ($1)', values: [index] }),
  )
  await clients[0]?.query('drop table sync.bench_commits')
  await Promise.all(clients.map((client) => client.end()))
  return rate
}
