/** `@tidewire/client/agent-dna`: what an agent is, checked here as the server checks it. */
export {
  AgentDNA,
  AgentGuardrails,
  AgentIdentity,
  AgentMemoryConfig,
  AgentModelConfig,
  AgentPersonality,
  AgentRuntime,
  AgentSkillSet,
  type AgentDNAInput,
} from '../protocol/agents/agent-dna.ts'
