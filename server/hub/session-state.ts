/**
 * Where a session stands (SPEC, "States").
 * - `idle`: connected, has not said what it follows
 * - `behind`: fed from its own position, not by the live loop
 * - `live`: fed by the live loop
 * - `stalled`: too much is unacknowledged, or its token is being looked at; fed by nobody
 * - `ended`: closed or refused; nothing is sent any more
 */
export type SessionState = 'idle' | 'behind' | 'live' | 'stalled' | 'ended'

/**
 * - `need`: something must be read for it (it subscribed, activated, asked to verify)
 * - `reached`: it has all that the live loop has sent
 * - `missed`: the live loop read a step that does not hold all it needs
 * - `filled`: its window; `doubted`: its token may have ended; `opened`: neither any more
 * - `end`: closed by either side
 */
export type SessionEvent = 'need' | 'reached' | 'missed' | 'filled' | 'doubted' | 'opened' | 'end'

const transitions: Readonly<Record<SessionState, Readonly<Partial<Record<SessionEvent, SessionState>>>>> = {
  idle: { need: 'behind', end: 'ended' },
  behind: { reached: 'live', filled: 'stalled', doubted: 'stalled', end: 'ended' },
  live: { need: 'behind', missed: 'behind', filled: 'stalled', doubted: 'stalled', end: 'ended' },
  stalled: { opened: 'behind', end: 'ended' },
  ended: {},
}

/** The state after an event. Events that a state does not name leave it as it is. */
export function nextState(state: SessionState, event: SessionEvent): SessionState {
  return transitions[state][event] ?? state
}
