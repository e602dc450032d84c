import { expect, test } from 'vitest'
import { slotFinding } from '../../server/capture/wal/wal-requirements.ts'

const held = '7 GB'

test.each([
  ['reserved', true],
  ['extended', true],
  ['unreserved', false],
  ['lost', false],
])('a slot that is %s is well: %s', (status, ok) => {
  const finding = slotFinding('tidewire_app', 'wal', { active: false, status, held })
  expect(finding.ok).toBe(ok)
  if (!ok) expect(finding.fix).toContain('max_slot_wal_keep_size')
})

test('no slot is well before capture begins, and a gap after it', () => {
  expect(slotFinding('tidewire_app', 'trigger', undefined).ok).toBe(true)
  expect(slotFinding('tidewire_app', 'wal', undefined)).toMatchObject({
    ok: false,
    fix: expect.stringContaining('start over'),
  })
})
