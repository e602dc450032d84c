/**
 * Limits that both houses count on. A server tells those of its session in `welcome`, and a client heeds these; the
 * others are of the messages themselves.
 */

/** Writes of one push. A group of writes must fit into one. */
export const mostPushMutations = 100

/** Characters of JSON that one write may have. */
export const mostMutationLength = 1_000_000

/** Subscriptions that one `subscribe` announces. */
export const mostAnnounced = 500

/** Subscriptions of one session. */
export const mostSubscriptions = 100

/** Batches that a session may leave unacknowledged before the server sends it no more. */
export const mostWindowBatches = 32
