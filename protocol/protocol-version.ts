/**
 * Version of the wire. A change of `up.ts`, `down.ts` or the frame moves the hash in `protocol-version.test.ts`; then
 * raise this, add a line to the history below, and decide whether `oldestSupported` still is.
 *
 * 1: first version.
 */
export const protocolVersion = 1
export const oldestSupported = 1
