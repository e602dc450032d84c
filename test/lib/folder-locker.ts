// Run by folder-lock.test.ts as a process of its own: tries to lock a folder, tells its parent, and stays.
import { lockFolder } from '../../lib/folder-lock.ts'
import { TideError } from '../../protocol/error.ts'

const [folder = ''] = process.argv.slice(2)
const result = await lockFolder(folder).then(
  () => 'locked',
  (error: unknown) => (error instanceof TideError ? error.code : String(error)),
)
process.send?.(result)
setInterval(() => {}, 1000)
