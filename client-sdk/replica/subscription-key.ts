/**
 * A subscription may have a key of its application. The id then is `<key>:<hash>`: the server takes any id, and every
 * store keeps it, so that a key outlives the process without a column of its own. Ids without a key have no colon.
 */
export function subscriptionKey(id: string): string | undefined {
  const end = id.indexOf(':')
  return end < 0 ? undefined : id.slice(0, end)
}
