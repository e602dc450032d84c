// The only JavaScript among the sources: bundlers find a worker by the literal URL of its file, and this name is the
// same before and after the build.
import { serveReplica } from './browser-worker.ts'

serveReplica()
