import { sha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'

/**
 * The deterministic id of a row with a natural key: UUID version 8 of SHA-256 over the JSON text `["table","key",…]`
 * without spaces. Two devices that add the same thing offline make the same row. Equals `sync.uuid_from_key` in SQL;
 * a column that is null is a null in the list.
 */
export function uuidFromKey(table: string, key: readonly (string | null)[]): string {
  const digest = sha256(utf8ToBytes(JSON.stringify([table, ...key])))
  const bytes = digest.slice(0, 16)
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x80
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80
  const hex = bytesToHex(bytes)
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
