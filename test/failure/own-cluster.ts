// A Postgres of the story's own, to be stopped, killed and broken.
import { createCluster, type Cluster, type Settings } from '../../scripts/postgres-cluster.ts'
import { installedPostgres } from '../../scripts/services.ts'

const installation = installedPostgres()

/** False where only a server that the environment names is there: it must not be broken. */
export const hasOwnCluster = installation !== undefined

export async function openCluster(settings: Settings = {}): Promise<Cluster> {
  if (!installation) throw new Error('No PostgreSQL is installed here that a cluster could be made of.')
  return createCluster(installation, settings)
}
