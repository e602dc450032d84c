import type { ActionContext } from './action.ts'
import { isAdmin } from './check-admin.ts'

/** Whose tokens and devices the caller may see and end, with those of their agents; null: all of the organization. */
export function holderOf(context: ActionContext): string | null {
  return isAdmin(context) ? null : context.principal.id
}
