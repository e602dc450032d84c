// Run by crash.pglite.test.ts as a process of its own, to be killed: writes rows one after the other and says each one
// after the database has acknowledged it.
import { openDatabase } from '../../server/db/db.ts'

const [dataDir = ''] = process.argv.slice(2)
const { pool } = await openDatabase({ database: { kind: 'embedded', dataDir, poolSize: 4 } })
await pool.query('create table if not exists kept (id integer primary key, text text not null)')
const { rows } = await pool.query<{ next: number }>('select coalesce(max(id), 0)::integer + 1 as next from kept')
const first = rows[0]?.next ?? 1
const writers = [0, 1, 2, 3].map(async (writer) => {
  for (let id = first + writer; ; id += 4) {
    // Some in transactions of several statements, which must not be found by half.
    if (id % 3 === 0) {
      const client = await pool.connect()
      await client.query('begin')
      await client.query('insert into kept values ($1, $2)', [id, 'half'])
      await client.query('update kept set text = $2 where id = $1', [id, 'x'.repeat(id % 2000)])
      await client.query('commit')
      client.release()
    } else await pool.query('insert into kept values ($1, $2)', [id, 'x'.repeat(id % 2000)])
    process.stdout.write(`${id}\n`)
  }
})
await Promise.all(writers)
