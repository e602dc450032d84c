/** What a replica runs on, as its device says in `hello` and as its row in `devices` has it. */
export const deviceKinds = ['browser', 'desktop', 'mobile', 'tablet', 'cli', 'server', 'agent_runtime'] as const

/** Where it keeps its rows. */
export const storageEngines = ['pglite', 'memory', 'other'] as const
