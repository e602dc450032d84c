import { connect } from '@tidewire/client'
import { expect, test } from 'vitest'

const options = {
  url: 'http://127.0.0.1:1',
  token: 'secret-token',
  replica: { kind: 'memory' },
  device: { name: 'options', kind: 'cli' },
} as const

test('a token that is not there is refused before anything is opened, with where one comes from', async () => {
  await expect(connect({ ...options, token: undefined })).rejects.toMatchObject({
    code: 'config_invalid',
    remedy: expect.stringContaining('npx tidewire token'),
  })
})

test('all that is wrong with the options is told at once, without the token', async () => {
  const wrong = connect({ ...options, url: 'ftp://here', device: { name: '', kind: 'cli' } })
  await expect(wrong).rejects.toMatchObject({
    code: 'config_invalid',
    message: expect.stringMatching(/url: .*device\.name: /),
  })
  await expect(wrong).rejects.not.toThrow('secret-token')
})
