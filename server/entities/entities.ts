import { agentCapabilities } from './agents/agent-capabilities.ts'
import { agentEvents } from './agents/agent-events.ts'
import { agentInstances } from './agents/agent-instances.ts'
import { agentSessions } from './agents/agent-sessions.ts'
import { agentTypes } from './agents/agent-types.ts'
import { agents } from './agents/agents.ts'
import { contextVectors } from './agents/context-vectors.ts'
import { devices } from './agents/devices.ts'
import { conversationParticipants } from './conversations/conversation-participants.ts'
import { conversations } from './conversations/conversations.ts'
import { messages } from './conversations/messages.ts'
import { accessTokens } from './identity/access-tokens.ts'
import { authSessions } from './identity/auth-sessions.ts'
import { credentials } from './identity/credentials.ts'
import { organizationMembers } from './identity/organization-members.ts'
import { organizations } from './identity/organizations.ts'
import { teamMemberships } from './identity/team-memberships.ts'
import { teams } from './identity/teams.ts'
import { userCredentials } from './identity/user-credentials.ts'
import { userPreferences } from './identity/user-preferences.ts'
import { users } from './identity/users.ts'
import { memories } from './memory/memories.ts'
import { memoryLogs } from './memory/memory-logs.ts'
import { memoryTags } from './memory/memory-tags.ts'
import { macroStepDependencies } from './planning/macro-step-dependencies.ts'
import { macroSteps } from './planning/macro-steps.ts'
import { phases } from './planning/phases.ts'
import { plans } from './planning/plans.ts'
import { taskDependencies } from './planning/task-dependencies.ts'
import { taskRuns } from './planning/task-runs.ts'
import { tasks } from './planning/tasks.ts'
import { workflowRuns } from './planning/workflow-runs.ts'
import { workflows } from './planning/workflows.ts'
import { projectClosures } from './projects/project-closures.ts'
import { projectMembers } from './projects/project-members.ts'
import { projectStates } from './projects/project-states.ts'
import { projects } from './projects/projects.ts'
import { repositories } from './projects/repositories.ts'
import { repositoryAnalyses } from './projects/repository-analyses.ts'
import { repositoryBranches } from './projects/repository-branches.ts'
import { syncCapture } from './sync/sync-capture.ts'
import { syncChanges } from './sync/sync-changes.ts'
import { syncConflicts } from './sync/sync-conflicts.ts'
import { syncHeads } from './sync/sync-heads.ts'
import { syncMutations } from './sync/sync-mutations.ts'
import { syncSubscriptions } from './sync/sync-subscriptions.ts'
import { syncTables } from './sync/sync-tables.ts'

/**
 * Every table of the server, in the order of its modules. This list is all that the ORM, the catalog and the migrations
 * know; an application adds its own tables to it.
 */
export const entities = [
  // identity
  organizations,
  organizationMembers,
  users,
  userCredentials,
  authSessions,
  accessTokens,
  credentials,
  teams,
  teamMemberships,
  userPreferences,
  // projects
  projects,
  projectMembers,
  projectStates,
  projectClosures,
  repositories,
  repositoryBranches,
  repositoryAnalyses,
  // planning
  plans,
  phases,
  macroSteps,
  macroStepDependencies,
  tasks,
  taskDependencies,
  taskRuns,
  workflows,
  workflowRuns,
  // agents
  agentTypes,
  agents,
  agentCapabilities,
  agentInstances,
  agentEvents,
  agentSessions,
  contextVectors,
  devices,
  // conversations
  conversations,
  conversationParticipants,
  messages,
  // memory
  memories,
  memoryTags,
  memoryLogs,
  // sync
  syncTables,
  syncHeads,
  syncChanges,
  syncCapture,
  syncMutations,
  syncConflicts,
  syncSubscriptions,
]
