/** Columns of a row by SQL name. */
export type Values = Readonly<Record<string, unknown>>
/** Inserts a row of the organization and answers its id. */
export type Add = (table: string, row: Values) => Promise<string>

/** An agent with a DNA, of which readers fill the rest. */
export function agentOf(name: string, role: string, purpose: string): Values {
  const dna = {
    schemaVersion: 1,
    identity: { name, role, purpose },
    personality: { tone: 'friendly', verbosity: 'low', traits: { caution: 0.7, initiative: 0.6 } },
    skills: {
      skills: [
        { key: 'planning', name: 'Planning', proficiency: 0.8 },
        { key: 'writing', name: 'Writing', proficiency: 0.6 },
      ],
    },
    guardrails: { maxTokensPerRun: 50_000, requireApprovalFor: ['deploy'] },
    runtime: { concurrency: 2, heartbeatSeconds: 30 },
  }
  return { name, agent_type: role, description: purpose, dna }
}
