import type { Json } from '../rows/row.ts'

/** An event as subscribers get it. */
export interface DeliveredEvent {
  readonly id: string
  /** Its place among the events of the organization: the order of their commits. */
  readonly seq: number
  readonly source: string
  readonly type: string
  readonly occurredAt: string
  /** When the server had it. */
  readonly receivedAt: string
  readonly projectId: string | null
  readonly agentId: string | null
  readonly userId: string | null
  readonly deviceId: string | null
  readonly subjectType: string | null
  readonly subjectId: string | null
  readonly data: Json
  readonly priority: string
  readonly schemaVersion: number
  readonly correlationId: string | null
  readonly causationId: string | null
  /** Delivered again, on request. */
  readonly replay: boolean
  readonly replayId: string | null
}
