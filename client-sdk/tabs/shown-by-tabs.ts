import type { Json } from '../../protocol/rows/row.ts'

type State = Readonly<Record<string, Json>>

/** What is to be shown in a channel from now on; null: nothing. */
export interface Shown {
  readonly channel: string
  readonly state: State | null
}

/**
 * What the tabs of one connection show in each channel. The server knows the connection alone: it is told the newest,
 * until no tab shows anything there.
 */
export class ShownByTabs {
  /** By channel and tab, the newest last. */
  readonly #channels = new Map<string, Map<string, State>>()

  /** A tab shows this, or with null nothing any more. */
  set(tab: string, channel: string, state: State | null): Shown {
    const tabs = this.#channels.get(channel) ?? new Map<string, State>()
    // After a reconnect all tabs say again what they show: that makes nothing newer.
    const isKnown = state !== null && JSON.stringify(tabs.get(tab)) === JSON.stringify(state)
    if (!isKnown) tabs.delete(tab)
    if (state !== null && !isKnown) tabs.set(tab, state)
    if (tabs.size > 0) this.#channels.set(channel, tabs)
    else this.#channels.delete(channel)
    return { channel, state: [...tabs.values()].at(-1) ?? null }
  }

  /** A tab is gone. Answers the channels in which it was seen. */
  leave(tab: string): readonly Shown[] {
    return [...this.#channels].filter(([, tabs]) => tabs.has(tab)).map(([channel]) => this.set(tab, channel, null))
  }
}
