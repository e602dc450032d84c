/**
 * A connection to a server: ordered and without gaps until it closes, like a WebSocket. The simulation has its own; the
 * real one is `socket-transport.ts`.
 */
export interface Transport {
  /** Starts a connection. Exactly one `closed` ends it, whether it ever opened or not; nothing is heard after that. */
  open(listener: TransportListener): TransportConnection
}

export interface TransportListener {
  opened(): void
  received(frame: Uint8Array): void
  closed(reason: string): void
}

export interface TransportConnection {
  /** Sends a frame; frames sent to a closed connection are lost without a word. */
  send(frame: Uint8Array): void
  close(): void
}
