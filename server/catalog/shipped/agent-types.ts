/** The agent types of everyone; organizations add their own. `writes`: may change files and run commands. */
export const agentTypes = [
  {
    key: 'codegen',
    name: 'Code generation',
    description: 'Writes and changes code.',
    capabilities: ['code_generation', 'refactoring', 'code_review'],
    writes: true,
  },
  {
    key: 'testing',
    name: 'Testing',
    description: 'Writes and runs tests.',
    capabilities: ['test_generation', 'test_execution', 'bug_reproduction'],
  },
  {
    key: 'documentation',
    name: 'Documentation',
    description: 'Writes documents and keeps them true.',
    capabilities: ['writing', 'summarisation', 'translation'],
  },
  {
    key: 'archon',
    name: 'Archon',
    description: 'Keeps the knowledge of a project.',
    capabilities: ['knowledge_management', 'retrieval', 'summarisation'],
  },
  {
    key: 'mobile_controller',
    name: 'Mobile controller',
    description: 'Works on behalf of a phone or tablet.',
    capabilities: ['mobile_sync', 'notifications', 'device_control'],
  },
  {
    key: 'orchestrator',
    name: 'Orchestrator',
    description: 'Divides work and hands it to other agents.',
    capabilities: ['planning', 'delegation', 'monitoring'],
  },
  {
    key: 'backend_dev',
    name: 'Backend development',
    description: 'Builds services.',
    capabilities: ['code_generation', 'api_design', 'database_design'],
    writes: true,
  },
  {
    key: 'frontend_dev',
    name: 'Frontend development',
    description: 'Builds user interfaces.',
    capabilities: ['code_generation', 'ui_design', 'accessibility'],
    writes: true,
  },
  {
    key: 'reviewer',
    name: 'Review',
    description: 'Reads changes and says what is wrong.',
    capabilities: ['code_review', 'security_review', 'quality_gates'],
  },
  {
    key: 'devops',
    name: 'Operations',
    description: 'Builds, deploys and watches.',
    capabilities: ['deployment', 'monitoring', 'incident_response'],
    writes: true,
    deploys: true,
  },
  {
    key: 'researcher',
    name: 'Research',
    description: 'Finds out and reports.',
    capabilities: ['research', 'retrieval', 'summarisation'],
  },
  { key: 'generic', name: 'Generic', description: 'Anything else.', capabilities: ['conversation', 'task_execution'] },
] as const satisfies readonly AgentType[]

export interface AgentType {
  readonly key: string
  readonly name: string
  readonly description: string
  /** What an agent of the type can do when nobody says otherwise. */
  readonly capabilities: readonly string[]
  readonly writes?: true
  readonly deploys?: true
}
