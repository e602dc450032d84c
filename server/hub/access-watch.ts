import { BoundedMap } from '../../lib/bounded-map.ts'
import type { Value } from '../../protocol/rows/row.ts'
import { valueOf, type ReadRow } from '../db/row-bytes.ts'
import { accessColumns, type Access } from '../scope/access.ts'
import type { DevicePrincipal } from '../scope/principal.ts'
import type { Change, Moment, Step } from './feed.ts'

/** A session as far as its access is concerned. */
export interface Watched {
  readonly principal: DevicePrincipal
  /** As it knows it: a search, and the next subscription, go by what it could follow too. */
  readonly access: Pick<Access, 'channels'>
  /** Perhaps longer than it may: its access can be newer than the last step, which has not ended what it lost. */
  readonly follows: (channel: string) => boolean
}

const maxSignatures = 20_000

/**
 * Decides whose access a step may have changed (SPEC I9). Only losses count here: who gains a channel asks for it, and
 * access is evaluated then. Remembers the columns that matter, so that renaming a project evaluates nobody.
 */
export class AccessWatch {
  readonly #signatures = new BoundedMap<string, string>(maxSignatures)
  #changedAt: Moment = Number.NEGATIVE_INFINITY

  /** The newest snapshot that held a possible loss: an access that was read before it may be one too many. */
  get changedAt(): Moment {
    return this.#changedAt
  }

  /** The principals of `sessions` that a change may concern. Remembers nothing: the read may still fail. */
  concerned(changes: readonly Change[], sessions: Iterable<Watched>): readonly DevicePrincipal[] {
    const relevant = changes.filter((change) => this.#isRelevant(change))
    if (relevant.length === 0) return []
    const found: DevicePrincipal[] = []
    for (const session of sessions)
      if (relevant.some((change) => mayConcern(change, session))) found.push(session.principal)
    return found
  }

  #isRelevant(change: Change): boolean {
    const signature = signatureOf(change)
    // A device is new only once, and a session of it begins after that.
    if (signature === undefined || (change.table === 'devices' && change.fresh)) return false
    return this.#signatures.get(keyOf(change)) !== signature
  }

  /** The commits before this snapshot were not looked at. */
  lostSight(moment: Moment): void {
    this.#changedAt = moment
  }

  /**
   * The changes, read in this snapshot, were dealt with. Answers whether somebody's access may have changed by them.
   */
  remember({ changes, moment }: Pick<Step, 'changes' | 'moment'>): boolean {
    let isRelevant = false
    for (const change of changes) {
      const signature = signatureOf(change)
      if (signature === undefined) continue
      isRelevant ||= this.#isRelevant(change)
      this.#signatures.set(keyOf(change), signature)
    }
    if (isRelevant) this.#changedAt = moment
    return isRelevant
  }
}

function keyOf(change: Change): string {
  return `${change.table}/${change.id}`
}

/** The values that decide about access; undefined for tables that do not. */
function signatureOf({ table, row }: Change): string | undefined {
  const columns = accessColumns[table]
  if (!columns) return undefined
  return row ? JSON.stringify(columns.map((column) => valueOf(row, column) ?? null)) : 'gone'
}

/** Rather too many than too few: of a row that is gone only the key is known. */
function mayConcern(change: Change, session: Watched): boolean {
  const { principal } = session
  const finds = (channel: string): boolean => session.access.channels.has(channel) || session.follows(channel)
  if (change.organizationId !== null && change.organizationId !== principal.organizationId) return false
  switch (change.table) {
    case 'organizations':
      return change.id === principal.organizationId
    case 'users':
      return change.id === principal.id
    case 'agents':
      return change.id === principal.id || finds(`agent/${change.id}`)
    case 'devices':
      return change.id === principal.deviceId
    case 'projects':
      return finds(`project/${change.id}`)
    case 'organization_members':
    case 'team_memberships':
      return concerns(change.row, ['userId', 'agentId'], principal.id)
    case 'project_members':
      return (
        concerns(change.row, ['userId', 'agentId'], principal.id) ||
        finds(`team/${String(change.row && valueOf(change.row, 'teamId'))}`)
      )
    default:
      return true
  }
}

function concerns(row: ReadRow | null, columns: readonly string[], id: string): boolean {
  return (
    row === null ||
    columns.some((column): boolean => {
      const value: Value | undefined = valueOf(row, column)
      return value === id
    })
  )
}
