/** Every list of values that more than one column uses; it feeds the CHECKs, the wire and the client's types. */

export const userRole = ['owner', 'admin', 'member', 'viewer'] as const
export const agentStatus = ['offline', 'online', 'busy', 'maintenance'] as const
export const messageRole = ['system', 'user', 'assistant', 'tool', 'agent'] as const
export const memoryType = [
  'semantic',
  'episodic',
  'procedural',
  'working',
  'preference',
  'decision',
  'reflection',
] as const
export const memoryStatus = ['pending', 'active', 'disputed', 'superseded', 'archived', 'expired'] as const
export const memoryTier = ['core', 'hot', 'warm', 'cold'] as const
export const memorySource = [
  'conversation',
  'observation',
  'tool_result',
  'document',
  'agent_learning',
  'reflection',
  'checkpoint',
  'manual',
  'import',
] as const
export const conversationStatus = ['active', 'paused', 'completed', 'archived'] as const
export const scopeType = ['organization', 'project', 'team', 'user', 'agent'] as const
export const syncStatus = ['local', 'syncing', 'synced', 'conflict'] as const
export const priority = ['low', 'medium', 'high', 'critical'] as const
export const severity = ['debug', 'info', 'warning', 'error', 'critical'] as const
export const projectStatus = ['draft', 'active', 'paused', 'completed', 'failed', 'cancelled', 'archived'] as const
export const planStatus = ['draft', 'active', 'paused', 'completed', 'cancelled'] as const
export const stepStatus = [
  'pending',
  'ready',
  'in_progress',
  'blocked',
  'completed',
  'failed',
  'skipped',
  'cancelled',
] as const
export const taskStatus = [
  'pending',
  'assigned',
  'in_progress',
  'blocked',
  'in_review',
  'completed',
  'failed',
  'cancelled',
] as const
export const runStatus = ['pending', 'queued', 'running', 'completed', 'failed', 'cancelled', 'timed_out'] as const
export const scalingStrategy = ['fixed', 'adaptive', 'elastic'] as const
export const executionMode = ['sequential', 'parallel'] as const
export const embeddingStatus = ['pending', 'ready', 'failed', 'skipped'] as const
