// A disk that can be filled: a small file system in memory, with the story's database on it as a tablespace.
import { randomBytes } from 'node:crypto'
import { chownSync, closeSync, mkdirSync, mkdtempSync, openSync, rmSync, rmdirSync, statSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Cluster } from '../../scripts/postgres-cluster.ts'
import { run } from '../../scripts/processes.ts'

export interface SmallDisk extends AsyncDisposable {
  /** SQL to make the tablespace `small` with. */
  readonly tablespace: string
  /** Leaves no room at all. */
  fill(): void
  /** Gives the room back. */
  free(): void
}

const megabytes = 160

/** Whether file systems may be mounted here. */
export const canMount = mayMount()

function mayMount(): boolean {
  const folder = mkdtempSync(join(tmpdir(), 'tidewire-mount-'))
  try {
    mount(folder, 1)
    run(['umount', folder], { quiet: true })
    return true
  } catch {
    return false
  } finally {
    rmdirSync(folder)
  }
}

function mount(folder: string, size: number): void {
  run(['mount', '-t', 'tmpfs', '-o', `size=${size}m,mode=0700`, 'tmpfs', folder], { quiet: true })
}

export function openSmallDisk(cluster: Cluster): SmallDisk {
  const { outside, inside } = cluster.folder('beside')
  const { uid, gid } = statSync(outside)
  // Not in the folder of the cluster: should the test be killed, what is mounted must not be in the way of those who
  // tidy up.
  const name = join('../..', `tidewire-disk-${randomBytes(4).toString('hex')}`)
  const disk = join(outside, name)
  mkdirSync(disk, { mode: 0o700 })
  mount(disk, megabytes)
  mkdirSync(join(disk, 'space'), { mode: 0o700 })
  for (const path of [disk, join(disk, 'space')]) chownSync(path, uid, gid)
  const ballast = join(disk, 'ballast')
  return {
    tablespace: `create tablespace small location '${join(inside, name, 'space')}'`,
    fill: () => fillUp(ballast),
    free: () => rmSync(ballast),
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
