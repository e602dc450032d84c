/** What went wrong so far, in words. */
export interface Journal {
  readonly problems: string[]
}
