import type { ScopeRule } from '../../protocol/rows/table.ts'
import { toColumnName } from '../entities/define.ts'

/**
 * A scope rule in the words of docs/schema.md: `project(project_id)|org`. `shipped`: rows without organization are
 * everyone's.
 */
export function scopeText(rule: ScopeRule | undefined, shipped: boolean): string {
  if (!rule) return 'none'
  switch (rule.kind) {
    case 'via':
      return `via ${rule.parent}(${toColumnName(rule.column)})`
    case 'project_home':
      return 'home'
    case 'conflict_home':
      return 'conflict'
    case 'columns': {
      const named = rule.columns.map(({ scope, column }) => {
        if (column === 'organizationId') return shipped ? 'global+org' : 'org'
        return `${scope === 'organization' ? 'org' : scope}(${toColumnName(column)})`
      })
      return [...named, ...(rule.fallback ? ['org'] : [])].join('|')
    }
    default:
      return rule.kind
  }
}
