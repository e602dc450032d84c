import { realpath, rm } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * Removes the file of an artifact whose row is gone: a `file:` place inside the organization's folder of `root`,
 * symbolic links followed, since whoever wrote the row chose the place. Answers false for a place that is not the
 * organization's. Throws when a file that is cannot be removed.
 */
export async function removeArtifactFile(
  place: string,
  organizationId: string,
  root: string | undefined,
): Promise<boolean> {
  const home = root === undefined ? undefined : await realpath(join(root, organizationId)).catch(() => undefined)
  const path = home === undefined ? undefined : await pathInside(place, home)
  if (path === undefined) return false
  await rm(path, { force: true })
  return true
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
