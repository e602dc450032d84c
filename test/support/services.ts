// What a test asks for the services around it. Postgres runs in tests of suffix `.pg` (started by
// services-setup.ts, or named by the environment), Chromium is a program in those of suffix `.browser`.
import { findServices, type Service } from '../../scripts/services.ts'

/**
 * Administration URL of a PostgreSQL with pgvector and wal_level=logical, as superuser: make your own databases there.
 */
export function postgresUrl(): string {
  return running('TEST_DATABASE_URL', findServices().postgres)
}

/** The Chromium program, for playwright-core's `executablePath`. As root it needs `--no-sandbox`. */
export function chromiumPath(): string {
  const { chromium } = findServices()
  if (chromium.kind === 'missing') throw new Error(chromium.why)
  return chromium.at
}

function running(variable: string, service: Service): string {
  const url = process.env[variable]
  if (url) return url
  const why = service.kind === 'missing' ? service.why : 'the test is not in a file named *.pg.test.ts'
  throw new Error(`${variable} is not set: ${why}.`)
}
