import { realpath, rm } from 'node:fs/promises'
import { dirname, join, basename, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What became of the files of expired artifacts. */
export interface ArtifactFiles {
  readonly removed: number
  /** Places that are not ours to empty: of other schemes, or outside of the folder. */
  readonly left: readonly string[]
}

/**
 * Removes the files of artifacts before their rows go: those with a `file:` place inside `root`, symbolic links followed. Throws when
 * a file that is ours cannot be removed; its row stays then.
 */
export async function removeArtifactFiles(places: readonly string[], root: string | undefined): Promise<ArtifactFiles> {
  const home = root === undefined ? undefined : await realpath(root).catch(() => undefined)
  const left: string[] = []
  let removed = 0
  for (const place of places) {
    const path = home === undefined ? undefined : await pathInside(place, home)
    if (path === undefined) left.push(place)
    else {
      await rm(path, { force: true })
      removed++
    }
  }
  return { removed, left }
}

async function pathInside(place: string, home: string): Promise<string | undefined> {
  if (!place.startsWith('file:')) return undefined
  try {
    const path = fileURLToPath(place)
    const folder = await realpath(dirname(path))
    return folder === home || folder.startsWith(home + sep) ? join(folder, basename(path)) : undefined
  } catch {
    // No place of this machine, or its folder is gone.
    return undefined
  }
}
