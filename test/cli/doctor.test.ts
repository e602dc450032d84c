import { expect, test } from 'vitest'
import { judgeRoles } from '../../server/cli/doctor.ts'

const all = { missing: [], login: 'tidewire', may_make: false, may_write: true }

test.for([
  ['are well when the login may write under app_rw', all, undefined],
  [
    'are made by migrate where the login may',
    { ...all, missing: ['app_feed'], may_make: true },
    'Run `npx tidewire migrate`: it makes them.',
  ],
  [
    'are made by an administrator where the login may not, with the grant that it needs',
    { ...all, missing: ['app_rw', 'app_feed'], may_write: false },
    'Have an administrator run `create role app_rw nologin; create role app_feed nologin; grant app_rw to tidewire;`, then run `npx tidewire migrate`.',
  ],
  [
    'are granted by an administrator where they are there',
    { ...all, may_make: true, may_write: false },
    'Have an administrator run `grant app_rw to tidewire;`, then run `npx tidewire migrate`.',
  ],
] as const)('roles %s', ([, standing, fix]) => {
  expect(judgeRoles(standing).ok).toBe(fix === undefined)
  expect(judgeRoles(standing).fix).toBe(fix)
})
