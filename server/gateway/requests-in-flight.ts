import type { Server, ServerResponse } from 'node:http'

/** The requests of an HTTP server that are not answered yet. WebSockets are none. */
export interface RequestsInFlight {
  /** Takes no more connections, and resolves when every request that came is answered or gone. */
  finish(): Promise<void>
  /** Cuts those that are not answered. */
  cut(): void
}

/** Counts from now on. */
export function watchRequests(http: Server): RequestsInFlight {
  let inFlight = 0
  let answered: () => void = () => undefined
  http.on('request', (_, response: ServerResponse) => {
    inFlight += 1
    response.once('close', () => {
      inFlight -= 1
      if (inFlight === 0) answered()
    })
  })
  return {
    async finish() {
      http.close()
      if (inFlight > 0) await new Promise<void>((resolve) => (answered = resolve))
    },
    cut() {
      http.close()
      http.closeAllConnections()
    },
  }
}
