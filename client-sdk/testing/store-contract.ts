import { afterEach, beforeEach, describe } from 'vitest'
import { invariant } from '../../lib/invariant.ts'
import type { Schema } from '../../protocol/rows/table.ts'
import type { ReplicaStore } from '../store/store.ts'
import { bootstrapContract } from './bootstrap-contract.ts'
import { contractSchema } from './contract-schema.ts'
import type { Subject } from './contract-subject.ts'
import { guestContract } from './guest-contract.ts'
import { purgeContract } from './purge-contract.ts'
import { queryContract } from './query-contract.ts'
import { recordContract } from './record-contract.ts'
import { rowContract } from './row-contract.ts'

/** Where one replica lives: a folder, a database, an object in memory. */
export interface StorePlace {
  /** Opens the store that lives here, with all that earlier ones have kept. One is open at a time. */
  open(schema: Schema): Promise<ReplicaStore>
  /** Gives the place up, after its store was closed. */
  remove(): Promise<void>
}

/**
 * All that a replica expects of its store, as a suite. `makePlace` is called for every test and gives an empty place.
 * Registers with the vitest that runs the calling file.
 */
export function storeContract(name: string, makePlace: () => Promise<StorePlace>): void {
  describe(`${name} keeps the store contract`, () => {
    let place: StorePlace | undefined
    let store: ReplicaStore | undefined

    beforeEach(async () => {
      place = await makePlace()
      store = await place.open(contractSchema)
    })
    afterEach(async () => {
      await store?.close()
      await place?.remove()
      store = undefined
    })

    const subject: Subject = {
      get store() {
        invariant(store !== undefined, 'a store is open while a test runs')
        return store
      },
      async reopen() {
        await store?.close()
        store = await place?.open(contractSchema)
        return subject.store
      },
    }
    describe('records', () => {
      recordContract(subject)
    })
    describe('rows', () => {
      rowContract(subject)
    })
    describe('queries', () => {
      queryContract(subject)
    })
    describe('staging and swaps', () => {
      bootstrapContract(subject)
    })
    describe('purges', () => {
      purgeContract(subject)
    })
    describe('guests and conflicts', () => {
      guestContract(subject)
    })
  })
}
