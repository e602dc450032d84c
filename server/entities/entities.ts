import { agentCapabilities } from './agents/agent-capabilities.ts'
import { agentEvents } from './agents/agent-events.ts'
import { agentInstances } from './agents/agent-instances.ts'
import { agentSessions } from './agents/agent-sessions.ts'
import { agentTypes } from './agents/agent-types.ts'
import { agents } from './agents/agents.ts'
import { contextVectors } from './agents/context-vectors.ts'
import { devices } from './agents/devices.ts'
import { systemMetricRollups } from './analytics/system-metric-rollups.ts'
import { systemMetrics } from './analytics/system-metrics.ts'
import { conversationParticipants } from './conversations/conversation-participants.ts'
import { conversations } from './conversations/conversations.ts'
import { messages } from './conversations/messages.ts'
import { billingRecords } from './costs/billing-records.ts'
import { costEstimates } from './costs/cost-estimates.ts'
import { costModels } from './costs/cost-models.ts'
import { modelPrices } from './costs/model-prices.ts'
import { tokenUsageDaily } from './costs/token-usage-daily.ts'
import { tokenUsages } from './costs/token-usages.ts'
import { documentLinks } from './documents/document-links.ts'
import { documentTemplates } from './documents/document-templates.ts'
import { documentVersions } from './documents/document-versions.ts'
import { documents } from './documents/documents.ts'
import { eventMetrics } from './events/event-metrics.ts'
import { eventReplays } from './events/event-replays.ts'
import { eventSubscriptions } from './events/event-subscriptions.ts'
import { events } from './events/events.ts'
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
import { externalLinks } from './integrations/external-links.ts'
import { integrationEvents } from './integrations/integration-events.ts'
import { integrations } from './integrations/integrations.ts'
import { notifications } from './integrations/notifications.ts'
import { webhooks } from './integrations/webhooks.ts'
import { backupRuns } from './maintenance/backup-runs.ts'
import { enumValues } from './maintenance/enum-values.ts'
import { errorLogSummaries } from './maintenance/error-log-summaries.ts'
import { errorLogs } from './maintenance/error-logs.ts'
import { maintenanceRuns } from './maintenance/maintenance-runs.ts'
import { queryStatistics } from './maintenance/query-statistics.ts'
import { retentionPolicies } from './maintenance/retention-policies.ts'
import { systemSettings } from './maintenance/system-settings.ts'
import { complexityMetrics } from './memory/complexity-metrics.ts'
import { feedbackLoops } from './memory/feedback-loops.ts'
import { knowledgeEntries } from './memory/knowledge-entries.ts'
import { knowledgeGrants } from './memory/knowledge-grants.ts'
import { memories } from './memory/memories.ts'
import { memoryLogs } from './memory/memory-logs.ts'
import { memoryTags } from './memory/memory-tags.ts'
import { patterns } from './memory/patterns.ts'
import { successCriteria } from './memory/success-criteria.ts'
import { agentPermissions } from './permissions/agent-permissions.ts'
import { auditLogs } from './permissions/audit-logs.ts'
import { toolAuditLogs } from './permissions/tool-audit-logs.ts'
import { pipelineArtifacts } from './pipelines/pipeline-artifacts.ts'
import { pipelineExecutions } from './pipelines/pipeline-executions.ts'
import { pipelineStepExecutions } from './pipelines/pipeline-step-executions.ts'
import { pipelineSteps } from './pipelines/pipeline-steps.ts'
import { pipelines } from './pipelines/pipelines.ts'
import { qualityGateResults } from './pipelines/quality-gate-results.ts'
import { qualityGates } from './pipelines/quality-gates.ts'
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
import { promptTestResults } from './prompts/prompt-test-results.ts'
import { prompts } from './prompts/prompts.ts'
import { syncCapture } from './sync/sync-capture.ts'
import { syncChanges } from './sync/sync-changes.ts'
import { syncConflicts } from './sync/sync-conflicts.ts'
import { syncHeads } from './sync/sync-heads.ts'
import { syncMutations } from './sync/sync-mutations.ts'
import { syncSubscriptions } from './sync/sync-subscriptions.ts'
import { syncTables } from './sync/sync-tables.ts'

/**
 * Every table of the server, in the order of its modules. This list is all that the ORM, the catalog and the migrations
 * know; an application's own tables come beside it (docs/embedding.md).
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
  knowledgeEntries,
  knowledgeGrants,
  patterns,
  complexityMetrics,
  successCriteria,
  feedbackLoops,
  // documents
  documents,
  documentVersions,
  documentLinks,
  documentTemplates,
  // costs
  modelPrices,
  tokenUsages,
  tokenUsageDaily,
  costEstimates,
  costModels,
  billingRecords,
  // events
  events,
  eventSubscriptions,
  eventReplays,
  eventMetrics,
  // prompts
  prompts,
  promptTestResults,
  // permissions
  agentPermissions,
  toolAuditLogs,
  auditLogs,
  // pipelines
  pipelines,
  pipelineSteps,
  pipelineExecutions,
  pipelineStepExecutions,
  pipelineArtifacts,
  qualityGates,
  qualityGateResults,
  // integrations
  integrations,
  webhooks,
  integrationEvents,
  externalLinks,
  notifications,
  // analytics
  systemMetrics,
  systemMetricRollups,
  // maintenance
  errorLogs,
  errorLogSummaries,
  retentionPolicies,
  maintenanceRuns,
  backupRuns,
  queryStatistics,
  systemSettings,
  enumValues,
  // sync
  syncTables,
  syncHeads,
  syncChanges,
  syncCapture,
  syncMutations,
  syncConflicts,
  syncSubscriptions,
]
