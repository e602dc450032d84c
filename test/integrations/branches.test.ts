import { describe, expect, test } from 'vitest'
import { branchOf, branchRuleOf, namesLike, taskHintOf } from '../../server/integrations/payload.ts'

const repository = { full_name: 'acme/app', id: 7, default_branch: 'main', language: 'TypeScript' }
const pull = (action: string, more: object = {}, ofRepository: object = {}) =>
  branchOf('github', {
    eventType: `pull_request.${action}`,
    payload: {
      repository: { ...repository, ...ofRepository },
      pull_request: { head: { ref: 'feature', sha: 'abc', repo: { full_name: 'acme/app' } }, commits: 3, ...more },
    },
  })

describe('a pull request tells of its branch', () => {
  test('how many commits it is ahead, and the language of its repository', () => {
    for (const action of ['opened', 'reopened', 'synchronize'])
      expect(pull(action)).toMatchObject({
        branch: 'feature',
        status: 'active',
        sha: 'abc',
        aheadBy: 3,
        language: 'TypeScript',
      })
    expect(pull('opened', { commits: 'many' }, { language: null })).toMatchObject({ aheadBy: null, language: null })
  })

  test('that it is ahead no more when it was merged, and nothing when it was closed, only edited, or is of a fork', () => {
    expect(pull('closed', { merged: true })).toMatchObject({ status: 'merged', aheadBy: 0 })
    expect(pull('closed')).toBeUndefined()
    expect(pull('edited')).toBeUndefined()
    expect(pull('opened', { head: { ref: 'feature', sha: 'abc', repo: { full_name: 'eve/app' } } })).toBeUndefined()
  })
})

describe('a rule that protects branches', () => {
  test.each([
    ['main', ['main'], ['main2', 'xmain', 'feature/main']],
    ['release/*', ['release/1', 'release/a.b'], ['release', 'release/1/2', 'xrelease/1']],
    ['v?.x', ['v1.x'], ['v12.x', 'v1-x']],
    ['**/hot', ['hot', 'a/hot', 'a/b/hot'], ['a/hotter']],
    ['a+(b)', ['a+(b)'], ['aab']],
  ])('%s is for the branches that are like it', (pattern, like, unlike) => {
    const names = new RegExp(namesLike(pattern), 'u')
    expect([...like, ...unlike].filter((name) => names.test(name))).toEqual(like)
  })

  test('is read from the webhook, and is gone when that says so', () => {
    const read = (action: string, rule: object) =>
      branchRuleOf('github', {
        eventType: `branch_protection_rule.${action}`,
        payload: { repository, rule: { ...rule } },
      })
    expect(read('created', { id: 1, name: 'main' })).toEqual({
      repository: 'acme/app',
      externalId: '1',
      matches: '^main$',
    })
    expect(read('deleted', { id: 1, name: 'main' })).toMatchObject({ matches: null })
    expect(read('created', {})).toBeUndefined()
  })
})

test.each([
  ['0191f0a0-1111-7222-8333-944444444444-fix', { id: '0191f0a0-1111-7222-8333-944444444444' }],
  ['42-fix-login', { number: '42' }],
  ['feature/gh-42', { number: '42' }],
  ['ada/eng-123-login', { key: 'ENG-123' }],
  ['release/1.2', { number: null }],
  ['main', { id: null, number: null, key: null }],
])('the name %s says which task it is for', (name, hint) => {
  expect(taskHintOf(name)).toMatchObject(hint)
})
