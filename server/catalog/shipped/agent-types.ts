/** The agent types of everyone; organizations add their own. `writes`: may change files and run commands. */
export const agentTypes = [
  { key: 'codegen', name: 'Code generation', description: 'Writes and changes code.', writes: true },
  { key: 'testing', name: 'Testing', description: 'Writes and runs tests.' },
  { key: 'documentation', name: 'Documentation', description: 'Writes documents and keeps them true.' },
  { key: 'archon', name: 'Archon', description: 'Keeps the knowledge of a project.' },
  { key: 'mobile_controller', name: 'Mobile controller', description: 'Works on behalf of a phone or tablet.' },
  { key: 'orchestrator', name: 'Orchestrator', description: 'Divides work and hands it to other agents.' },
  { key: 'backend_dev', name: 'Backend development', description: 'Builds services.', writes: true },
  { key: 'frontend_dev', name: 'Frontend development', description: 'Builds user interfaces.', writes: true },
  { key: 'reviewer', name: 'Review', description: 'Reads changes and says what is wrong.' },
  { key: 'devops', name: 'Operations', description: 'Builds, deploys and watches.', writes: true, deploys: true },
  { key: 'researcher', name: 'Research', description: 'Finds out and reports.' },
  { key: 'generic', name: 'Generic', description: 'Anything else.' },
] as const satisfies readonly AgentType[]

export interface AgentType {
  readonly key: string
  readonly name: string
  readonly description: string
  readonly writes?: true
  readonly deploys?: true
}
