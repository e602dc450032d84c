import { unreachable } from '../../lib/invariant.ts'
import { TideError } from '../../protocol/error.ts'
import type { ConnectionStatus } from './connection-options.ts'
import type { ConnectionState } from './connection-state.ts'

/** A state as users are told it. */
export function phaseOf(state: ConnectionState): ConnectionStatus['connection'] {
  switch (state.kind) {
    case 'idle':
    case 'closed':
      return 'offline'
    case 'connecting':
    case 'greeting':
    case 'waiting':
      return 'connecting'
    case 'live':
      return 'live'
    case 'stopped':
      return 'stopped'
    default:
      return unreachable(state)
  }
}

/** What went wrong, as users are told it: with a code. */
export function toTideError(error: unknown): TideError {
  if (error instanceof TideError) return error
  return new TideError('internal', error instanceof Error ? error.message : String(error), { cause: error })
}
