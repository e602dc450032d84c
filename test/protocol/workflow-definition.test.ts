import { expect, test } from 'vitest'
import { workflowDefinitionSchema } from '../../protocol/agents/workflow-definition.ts'

const step = (key: string, ...dependsOn: string[]) => ({ key, title: key, dependsOn })

test.each([
  ['one key twice', [step('a'), step('a')], 'steps.1.key'],
  ['what waits for nothing there is', [step('a', 'x')], 'steps.0.dependsOn'],
  ['what waits for itself', [step('a'), step('b', 'c'), step('c', 'a', 'b')], 'steps.1.dependsOn'],
])('a workflow refuses %s', (_, steps, path) => {
  expect(workflowDefinitionSchema.safeParse({ steps }).error?.issues.map((issue) => issue.path.join('.'))).toEqual([
    path,
  ])
})

test('a workflow may be any graph without circles', () => {
  expect(
    workflowDefinitionSchema.safeParse({ steps: [step('d', 'b', 'c'), step('b', 'a'), step('c', 'a'), step('a')] })
      .success,
  ).toBe(true)
})
