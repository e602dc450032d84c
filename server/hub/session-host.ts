import type { Clock } from '../../lib/clock.ts'
import type { Seq } from '../../protocol/seq.ts'
import type { Access } from '../scope/access.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { AccessAnswer } from './feed.ts'
import type { HubObserver, WatchedStep } from './hub-observer.ts'
import type { HubLimits } from './limits.ts'
import type { Pages } from './pages.ts'
import type { ChannelIndex } from './route.ts'
import type { DownTables } from './spec.ts'
import type { Batch } from './step-frames.ts'

/** What a session needs of its hub. */
export interface SessionHost<Member> {
  readonly tables: DownTables
  readonly limits: HubLimits
  readonly index: ChannelIndex
  /** The session is behind and may be fed. */
  feed(session: Member): void
  access(principal: DevicePrincipal): Promise<AccessAnswer>
  readonly pages: Pages
  /** An access that was read, or an equal one that is held already. */
  known(principal: DevicePrincipal, access: Access): Access
  sent(batch: Batch): void
  gone(session: Member): void
  readonly clock: Pick<Clock, 'monotonic'>
  readonly observer: HubObserver
  watched(seq: Seq): WatchedStep | undefined
  /** Until the live loop has looked at whose access and credentials changed up to here; undefined: it has. */
  passed(seq: Seq): Promise<void> | undefined
}
