import { Migrator } from '@mikro-orm/migrations'
import { defineConfig } from '@mikro-orm/postgresql'
import { entities } from './server/entities/entities.ts'

/**
 * What the ORM, its command line and the tests share. Connection settings are added by whoever connects. The snapshot
 * is compared with the entities and never with a live database, and migrations run as they are committed: triggers,
 * functions and all else that entities cannot say would look like drift otherwise.
 */
export default defineConfig({
  dbName: 'tidewire',
  entities,
  extensions: [Migrator],
  migrations: {
    path: `${import.meta.dirname}/migrations`,
    pathTs: `${import.meta.dirname}/migrations`,
    emit: 'ts',
    glob: '!(*.d).{js,ts}',
    snapshot: true,
    snapshotOnMigrate: false,
    snapshotName: '.snapshot',
    allOrNothing: true,
  },
  // Views are made by migrations, and listed in docs/schema.md.
  schemaGenerator: { ignoreSchema: ['sync'], ignoreTriggers: true, ignorePolicies: true, skipViews: [/./] },
})
