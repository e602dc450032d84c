import { startServices } from '../../scripts/services.ts'

/** Starts Postgres once for all files of a project; the workers find it in the environment. */
export default async function setup(): Promise<() => Promise<void>> {
  const services = await startServices()
  if (services.postgresUrl) process.env['TEST_DATABASE_URL'] = services.postgresUrl
  return async () => services[Symbol.asyncDispose]()
}
