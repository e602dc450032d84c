import { afterAll, afterEach, beforeAll } from 'vitest'
import type { Mutation } from '../../protocol/messages/mutation.ts'
import { newId } from '../support/fixtures.ts'
import { type helloOf, RawClient } from '../support/raw-client.ts'
import { startTestServer, type TestServer } from '../support/server.ts'

/** A server for the tests of a file, and raw clients of its member that are closed after each test. */
export function useGateway(options: Parameters<typeof startTestServer>[0] = {}) {
  let home: TestServer | undefined
  let token: string
  const open: RawClient[] = []
  const server = (): TestServer => {
    if (home) return home
    throw new Error('The server of these tests is not up.')
  }
  beforeAll(async () => {
    home = await startTestServer(options)
    token = await home.userToken(home.fixture.memberId)
  })
  afterEach(() => {
    for (const client of open.splice(0)) client.close()
  })
  afterAll(() => home?.close())
  return {
    get home(): TestServer {
      return server()
    },
    get token(): string {
      return token
    },
    greeted: async (ofToken = token, hello: Parameters<typeof helloOf>[1] = {}) => {
      const { client, welcome } = await RawClient.greeted(server().url, ofToken, hello)
      open.push(client)
      return { client, welcome }
    },
    /** Closes a client after the test. */
    closeAfter: (client: RawClient): void => void open.push(client),
    connected: async (): Promise<RawClient> => {
      const client = await RawClient.connect(server().url)
      open.push(client)
      return client
    },
    insertTask: (clientSeq: number, title: string): Mutation => ({
      id: newId(),
      clientSeq,
      table: 'tasks',
      rowId: newId(),
      op: 'insert',
      set: { projectId: server().fixture.projectId, title },
      at: 0,
    }),
  }
}
