const [quote, backslash, comma, space] = [0x22, 0x5c, 0x2c, 0x20]
const [openList, closeList, openObject, closeObject] = [0x5b, 0x5d, 0x7b, 0x7d]

/**
 * Gives the elements of a JSON list one after the other, as bytes; empty when there are no more. The list is trusted to
 * be JSON: what is not gives elements that are none, which Postgres refuses.
 */
export function jsonElements(list: Uint8Array): () => Uint8Array {
  let at = list.indexOf(openList) + 1
  return () => {
    while (list[at] === space) at++
    const start = at
    at = endOfElement(list, start)
    const element = list.subarray(start, at)
    at++
    return element
  }
}

/** Where the comma after the element stands, or the end of the list. */
function endOfElement(list: Uint8Array, start: number): number {
  let depth = 0
  for (let at = start; at < list.length; at++) {
    switch (list[at]) {
      case quote:
        at = endOfText(list, at)
        break
      case openList:
      case openObject:
        depth++
        break
      case closeObject:
      case closeList:
        if (depth === 0) return at
        depth--
        break
      case comma:
        if (depth === 0) return at
        break
      default:
    }
  }
  return list.length
}

/** Where the closing quote of a text stands. Bytes of other characters are never those of a quote or a backslash. */
function endOfText(list: Uint8Array, start: number): number {
  for (let at = start + 1; at < list.length; at++) {
    if (list[at] === backslash) at++
    else if (list[at] === quote) return at
  }
  return list.length
}
