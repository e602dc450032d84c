import type { Extras } from './step-frames.ts'

const none: Extras['leaves'] = []

/** Channels that a session has lost and that its next batch tells. A channel is told once, with the first reason. */
export class Leaves {
  #channels = none

  get isEmpty(): boolean {
    return this.#channels.length === 0
  }

  add(channel: string, revoked: boolean): void {
    if (this.#channels.some((leave) => leave.channel === channel)) return
    this.#channels = [...this.#channels, { channel, revoked }]
  }

  take(): Extras['leaves'] {
    const taken = this.#channels
    this.#channels = none
    return taken
  }
}
