/** SQL of a time as answers have it: ISO 8601 in UTC, to the millisecond; null stays null. */
export function isoTime(time: string): string {
  return `to_char(${time} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`
}
