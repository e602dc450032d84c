// A disk that can be filled: a small file system in memory, with the story's database on it as a tablespace.
import { randomBytes } from 'node:crypto'
import { chownSync, closeSync, mkdirSync, openSync, rmSync, rmdirSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { run } from '../../scripts/processes.ts'
import type { Stage } from './stage.ts'

export interface SmallDisk extends AsyncDisposable {
  /** SQL to make the tablespace `small` with; undefined: there is none, the limit is of another kind. */
  readonly tablespace: string | undefined
  /** Leaves no room at all. */
  fill(stage: Stage): Promise<void>
  /** Gives the room back. */
  free(stage: Stage): Promise<void>
}

const megabytes = 160

/** Where nothing may be mounted, a quota in the database takes its place: the same error, from the same statements. */
export function openSmallDisk(cluster: Cluster): SmallDisk {
  const { outside, inside } = cluster.folder('beside')
  const { uid, gid } = statSync(outside)
  // Not in the folder of the cluster: should the test be killed, what is mounted must not be in the way of those who tidy up.
  const name = join('../..', `tidewire-disk-${randomBytes(4).toString('hex')}`)
  const disk = join(outside, name)
  mkdirSync(disk, { mode: 0o700 })
  try {
    run(['mount', '-t', 'tmpfs', '-o', `size=${megabytes}m,mode=0700`, 'tmpfs', disk], { quiet: true })
  } catch {
    rmdirSync(disk)
    process.stderr.write(
      'NO SMALL DISK: nothing may be mounted here (CAP_SYS_ADMIN), so a trigger refuses what needs room.\n',
    )
    return quota
  }
  process.stderr.write(`A small disk of ${megabytes} MB is mounted, with the database on it.\n`)
  mkdirSync(join(disk, 'space'), { mode: 0o700 })
  for (const path of [disk, join(disk, 'space')]) chownSync(path, uid, gid)
  const ballast = join(disk, 'ballast')
  return {
    tablespace: `create tablespace small location '${join(inside, name, 'space')}'`,
    fill: () => Promise.resolve(fillUp(ballast)),
    free: () => Promise.resolve(rmSync(ballast)),
    async [Symbol.asyncDispose]() {
      run(['umount', '-l', disk], { quiet: true })
      rmdirSync(disk)
    },
  }
}

function fillUp(path: string): void {
  const file = openSync(path, 'a')
  try {
    for (const size of [1 << 20, 4096]) {
      try {
        for (;;) writeSync(file, Buffer.alloc(size))
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error
      }
    }
  } finally {
    closeSync(file)
  }
}

/** As quota extensions do it: statements that need room are refused. */
const quota: SmallDisk = {
  tablespace: undefined,
  async fill(stage) {
    await stage.sql(`create or replace function public.no_room() returns trigger language plpgsql as $$
      begin raise exception 'could not extend file: No space left on device' using errcode = 'disk_full'; end $$`)
    for (const table of ['tasks', 'sync_changes', 'sync_mutations'])
      await stage.sql(`create trigger no_room before insert on ${table} for each statement execute function no_room()`)
    for (const table of ['tasks', 'sync_changes', 'sync_mutations'])
      await stage.sql(`alter table ${table} enable always trigger no_room`)
  },
  async free(stage) {
    await stage.sql('drop function public.no_room() cascade')
  },
  [Symbol.asyncDispose]: () => Promise.resolve(),
}
