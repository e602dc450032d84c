import { z } from 'zod'
import type { ListedDevice } from '../../protocol/actions/device.ts'
import { TideError } from '../../protocol/error.ts'
import { defineAction } from './action.ts'
import { holderOf } from './holder-of.ts'
import { isoTime } from './iso-time.ts'

const pageSize = 500

/** Of $1 the organization; $2 who may see and end them, with those of their agents; null: all of it. */
const mine = `
d.organization_id = $1 and d.deleted_at is null and (
  $2::uuid is null or d.user_id = $2 or d.agent_id = $2
  or exists (select from agents a where a.id = d.agent_id and a.owner_user_id = $2 and a.deleted_at is null)
)`

/**
 * The devices that were ever connected, newest first: `{ devices, next }`, 500 at a time. For admins those of the
 * organization, for others their own and those of their agents.
 */
export const listDevices = defineAction({
  name: 'devices.list',
  readOnly: true,
  input: z.strictObject({
    /** `next` of the page before. */
    after: z.uuid().optional(),
  }),
  async run(context, { after }) {
    const rows = await context.query<ListedDevice>({
      name: 'action_list_devices',
      text: `
        select d.id as "deviceId", d.user_id as "userId", d.agent_id as "agentId", d.name, d.kind, d.storage_engine as "storageEngine",
          ${isoTime('d.last_seen_at')} as "lastSeenAt", ${isoTime('d.revoked_at')} as "revokedAt", ${isoTime('d.created_at')} as "createdAt"
        from devices d where ${mine} and ($3::uuid is null or d.id < $3)
        order by d.id desc limit ${pageSize + 1}`,
      values: [context.principal.organizationId, holderOf(context), after ?? null],
    })
    const devices = rows.slice(0, pageSize).map((row) => ({ ...row }))
    return { devices, next: rows.length > pageSize ? (devices.at(-1)?.deviceId ?? null) : null }
  },
})

/**
 * Ends a device of `devices.list`, its connection, and the sessions that were last used on it: `{}`. The replica on it
 * stays as it is, and sends and gets nothing any more.
 */
export const revokeDevice = defineAction({
  name: 'devices.revoke',
  input: z.strictObject({ deviceId: z.uuid() }),
  async run(context, { deviceId }) {
    const [found] = await context.query<{ readonly id: string }>({
      name: 'action_revoke_device',
      text: `update devices d set revoked_at = coalesce(d.revoked_at, now()) where ${mine} and d.id = $3 returning d.id`,
      values: [context.principal.organizationId, holderOf(context), deviceId],
    })
    if (!found) throw new TideError('not_found', `There is no device ${deviceId} that the caller may end.`)
    return {}
  },
})
