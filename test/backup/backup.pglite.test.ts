import { dirname, join } from 'node:path'
import { describeBackups } from './backup-contract.ts'

describeBackups('embedded', async (db) => {
  const beside = db.config.kind === 'embedded' ? dirname(db.config.dataDir) : ''
  return { kind: 'embedded', dataDir: join(beside, 'restored'), poolSize: 4 }
})
