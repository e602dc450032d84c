import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chromium, type BrowserContext } from 'playwright-core'
import { build, defaultClientConditions, preview, type InlineConfig } from 'vite'
import { chromiumPath } from '../support/services.ts'

/** The built page, served, and a browser for it. */
export interface Site {
  readonly url: string
  /** Its pages share storage and locks, as tabs do. */
  readonly context: BrowserContext
  close(): Promise<void>
}

/**
 * Builds the page in `source` into `files` of `folder`, with the names that its code has, serves it with the headers,
 * and starts a browser.
 */
export async function openSite(
  folder: string,
  headers: Readonly<Record<string, string>>,
  source = fileURLToPath(new URL('page', import.meta.url)),
): Promise<Site> {
  const config = {
    configFile: false,
    root: source,
    logLevel: 'error',
    resolve: { conditions: ['tidewire:source', ...defaultClientConditions] },
    worker: { format: 'es' },
    build: { outDir: join(folder, 'files'), emptyOutDir: true, target: 'esnext', minify: false },
    preview: { host: '127.0.0.1', port: 0, headers },
  } satisfies InlineConfig
  await build(config)
  const server = await preview(config)
  const url = server.resolvedUrls?.local[0]
  if (url === undefined) throw new Error('The page is not served.')
  const context = await chromium.launchPersistentContext(join(folder, 'profile'), {
    executablePath: chromiumPath(),
    args: [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
  context.setDefaultTimeout(120_000)
  return {
    url,
    context,
    async close() {
      await context.close()
      await server.close()
    },
  }
}
