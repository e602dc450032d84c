/** What is to be estimated: what tokens of a model cost, in a project or in one thing of it. */
export interface EstimateRequest {
  readonly projectId: string
  /** At most one of these four. */
  readonly planId?: string
  readonly phaseId?: string
  readonly macroStepId?: string
  readonly taskId?: string
  /** `openrouter` when absent. */
  readonly provider?: string
  readonly model: string
  readonly inputTokens: number
  readonly outputTokens: number
}
