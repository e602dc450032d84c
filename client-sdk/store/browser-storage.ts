/** File systems of PGlite in browsers. */
export type BrowserStorage = 'opfs' | 'idb'

/**
 * The storage of this browser, asked for in a worker: always the same, for a replica lies in one of them. The origin's
 * private file system writes only what changed; Safari allows too few open files for it, so that IndexedDB takes its
 * place there.
 */
export function browserStorage(): BrowserStorage {
  const { userAgent } = navigator
  const isSafari = userAgent.includes('Safari/') && !/Chrom(e|ium)\//.test(userAgent)
  return !isSafari && 'FileSystemSyncAccessHandle' in globalThis ? 'opfs' : 'idb'
}
