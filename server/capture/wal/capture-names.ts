import { createHash } from 'node:crypto'

/**
 * Names of the publication and the slot of a database. A slot's name is of the whole cluster and allows less than a
 * database's.
 */
export function captureNames(database: string): { readonly publication: string; readonly slot: string } {
  const plain = database.replace(/[^a-z0-9_]/g, '_').slice(0, 40)
  const name =
    plain === database ? plain : `${plain}_${createHash('sha256').update(database).digest('hex').slice(0, 10)}`
  return { publication: `tidewire_${name}`, slot: `tidewire_${name}` }
}
