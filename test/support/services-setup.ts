import { startServices } from '../../scripts/services.ts'

/** Starts Postgres and Redis once for all files of a project; the workers find them in the environment. */
export default async function setup(): Promise<() => Promise<void>> {
  const services = await startServices()
  if (services.postgresUrl) process.env['TEST_DATABASE_URL'] = services.postgresUrl
  if (services.redisUrl) process.env['TEST_REDIS_URL'] = services.redisUrl
  return async () => services[Symbol.asyncDispose]()
}
