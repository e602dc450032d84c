import { expect, test } from 'vitest'
import { seededRandom } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'
import type { Row } from '../../protocol/rows/row.ts'
import { channelA, idOf, issue, note, pack, randomIssue, vectorOf, withoutVectors } from './contract-rows.ts'
import type { Subject } from './contract-subject.ts'

/** Writing rows and reading them by id. */
export function rowContract(subject: Subject): void {
  const issues = (...numbers: readonly number[]): Promise<readonly Row[]> =>
    subject.store.rows('issues', numbers.map(idOf))
  const put = (table: string, ...upserts: readonly Row[]): Promise<void> =>
    subject.store.commit({ rows: [{ table, upserts, deletes: [] }] })

  test('gives every value back in its canonical form, written as a row', async () => {
    const random = seededRandom(7)
    const rows = Array.from({ length: 60 }, (_, index) => randomIssue(index, random))
    await put('issues', ...rows)
    expect(await issues(...rows.keys())).toEqual(rows)
    await subject.reopen()
    expect(await issues(...rows.keys())).toEqual(rows)
  })

  test('gives every value back in its canonical form, sent as a block', async () => {
    const random = seededRandom(8)
    // So many that a store with a bulk way takes it.
    const rows = Array.from({ length: 3000 }, (_, index) => randomIssue(index, random))
    await subject.store.commit({ blocks: [pack('issues', rows)] })
    expect(await issues(...rows.keys())).toEqual(rows)
    const changed = rows
      .slice(1000)
      .map((row) => randomIssue(Number.parseInt(String(row['id']).slice(-12), 16), random))
    const added = Array.from({ length: 500 }, (_, index) => randomIssue(3000 + index, random))
    await subject.store.commit({ blocks: [pack('issues', [...changed, ...added])] })
    expect(await issues(...Array(3500).keys())).toEqual([...rows.slice(0, 1000), ...changed, ...added])
  })

  test('keeps vectors, addresses, intervals and bytes', async () => {
    const random = seededRandom(9)
    const rows = Array.from({ length: 300 }, (_, index) =>
      note(
        index,
        channelA,
        index % 3 === 0
          ? {}
          : {
              address: index % 2 === 0 ? '10.0.0.1' : '2001:db8::/32',
              lifetime: '1 day 02:00:00',
              raw: '/wAB',
              embedding: vectorOf(random),
            },
      ),
    )
    await subject.store.commit({ blocks: [pack('notes', rows)] })
    expect(
      await subject.store.rows(
        'notes',
        rows.map((row) => String(row['id'])),
      ),
    ).toEqual(rows)
    const plain = Array.from({ length: 300 }, (_, index) =>
      note(1000 + index, channelA, { embedding: vectorOf(random), raw: '' }),
    )
    await subject.store.commit({ blocks: [pack('notes', plain)] })
    expect(
      await subject.store.rows(
        'notes',
        plain.map((row) => String(row['id'])),
      ),
    ).toEqual(plain)
  })

  test('leaves out missing rows, and gives those it has in the order asked for', async () => {
    await put('issues', issue(1, channelA), issue(2, channelA))
    expect(await issues(2, 3, 1)).toEqual([issue(2, channelA), issue(1, channelA)])
    expect(await issues()).toEqual([])
  })

  test('keeps columns that an upsert lacks, and fills those of a new row with null', async () => {
    const embedding = vectorOf(seededRandom(2))
    await put('notes', note(1, channelA, { embedding }))
    await put('notes', { id: idOf(1), content: 'changed' }, { id: idOf(2), content: 'new' })
    const [changed, made] = await subject.store.rows('notes', [idOf(1), idOf(2)])
    expect(changed).toEqual(note(1, channelA, { embedding, content: 'changed' }))
    expect(made).toEqual({
      ...Object.fromEntries(Object.keys(note(2, channelA)).map((key) => [key, null])),
      id: idOf(2),
      content: 'new',
    })
  })

  test('keeps the vectors of rows whose block has none, and takes a null for what it is', async () => {
    const embedding = vectorOf(seededRandom(3))
    await put('notes', note(1, channelA, { embedding }), note(2, channelA, { embedding }))
    await subject.store.commit({
      blocks: [pack('notes', [note(1, channelA, { content: 'b' })], { embeddings: false })],
    })
    await put('notes', note(2, channelA, { embedding: null }))
    const rows = await subject.store.rows('notes', [idOf(1), idOf(2)])
    expect(rows).toEqual([note(1, channelA, { content: 'b', embedding }), note(2, channelA)])
  })

  test('takes the last of several rows with one id', async () => {
    await put('issues', issue(1, channelA, { title: 'first' }), issue(1, channelA, { title: 'second' }))
    expect(await issues(1)).toEqual([issue(1, channelA, { title: 'second' })])
  })

  test('applies the fields of a commit in their order', async () => {
    await put('issues', issue(1, channelA), issue(2, channelA))
    await subject.store.commit({
      resets: ['issues'],
      blocks: [pack('issues', [issue(2, channelA, { title: 'block' }), issue(3, channelA), issue(4, channelA)])],
      rows: [{ table: 'issues', upserts: [issue(3, channelA, { title: 'row' })], deletes: [idOf(4), idOf(9)] }],
    })
    expect(await issues(1, 2, 3, 4)).toEqual([
      issue(2, channelA, { title: 'block' }),
      issue(3, channelA, { title: 'row' }),
    ])
  })

  test('empties only the tables that are reset', async () => {
    await put('issues', issue(1, channelA))
    await put('notes', note(1, channelA, { embedding: vectorOf(seededRandom(4)) }))
    await subject.store.commit({ resets: ['notes'] })
    expect(await issues(1)).toHaveLength(1)
    expect(await subject.store.query('notes', {})).toEqual([])
    expect(
      await subject.store.nearest('notes', { column: 'embedding', vector: vectorOf(seededRandom(4)), limit: 5 }),
    ).toEqual([])
  })

  test('changes nothing when a commit is refused, and goes on after it', async () => {
    await put('issues', issue(1, channelA))
    const before = await subject.store.load()
    const { block, sections } = pack('issues', [issue(5, channelA), issue(6, channelA)])
    const refused = [
      {
        blocks: [pack('issues', [issue(2, channelA)]), { block: { ...block, count: 3 }, sections }],
        meta: { clientSeq: 9 },
      },
      {
        rows: [{ table: 'issues', upserts: [issue(3, channelA), { title: 'no id' }], deletes: [idOf(1)] }],
        meta: { clientSeq: 9 },
      },
      {
        rows: [{ table: 'notes', upserts: [note(1, channelA, { embedding: new Float32Array(3) })], deletes: [] }],
        meta: { clientSeq: 9 },
      },
      { stage: { subscription: 's', blocks: [{ block, sections: [] }] }, meta: { clientSeq: 9 } },
    ]
    for (const commit of refused) await expect(subject.store.commit(commit)).rejects.toBeInstanceOf(TideError)
    expect(await subject.store.query('issues', {})).toEqual([issue(1, channelA)])
    expect(await subject.store.load()).toEqual(before)
    await put('issues', issue(2, channelA))
    expect(await issues(1, 2)).toHaveLength(2)
  })

  test('applies commits in the order of the calls, also after a refused one', async () => {
    const calls = Array.from({ length: 20 }, (_, index) => put('issues', issue(1, channelA, { priority: index })))
    const bad = put('issues', { title: 'no id' })
    const last = put('issues', issue(1, channelA, { priority: 99 }))
    await Promise.all([...calls, expect(bad).rejects.toBeInstanceOf(TideError), last])
    expect(await issues(1)).toEqual([issue(1, channelA, { priority: 99 })])
  })

  test('never shows a part of a commit', async () => {
    const rows = (priority: number): Row[] =>
      Array.from({ length: 50 }, (_, index) => issue(index, channelA, { priority }))
    await put('issues', ...rows(0))
    const commits = [1, 2, 3, 4, 5].map((priority) =>
      subject.store.commit({
        blocks: [pack('issues', rows(priority).slice(0, 25))],
        rows: [{ table: 'issues', upserts: rows(priority).slice(25), deletes: [] }],
      }),
    )
    const reads = await Promise.all(Array.from({ length: 10 }, () => subject.store.query('issues', {})))
    for (const read of reads) expect(new Set(read.map((row) => row['priority'])).size).toBe(1)
    await Promise.all(commits)
    expect(await subject.store.query('issues', {})).toEqual(rows(5).map(withoutVectors))
  })
}
