import type { EntityManager } from '@mikro-orm/postgresql'
import type { SqlQuery } from '../scope/sql-query.ts'
import type { Actor } from './actor.ts'
import { ContextRepository } from './context-repository.ts'
import { KnowledgeRepository } from './knowledge-repository.ts'
import { MemoryRepository } from './memory-repository.ts'
import { PatternRepository } from './pattern-repository.ts'
import { Repository, type RepositoryParts, type Table } from './repository.ts'
import { SyncRepository } from './sync-repository.ts'
import { TaskRepository } from './task-repository.ts'
import { UsageRepository } from './usage-repository.ts'

/** One transaction, and everything that is read and written in it. Use it only until its function returns. */
export class Unit {
  readonly actor: Actor
  /** SQL in this transaction. */
  readonly query: SqlQuery
  /** Set when the unit can be cancelled; hand it on to whatever else takes long. */
  readonly signal: AbortSignal | undefined
  readonly #parts: RepositoryParts
  readonly #fork: () => EntityManager
  #em: EntityManager | undefined

  constructor(parts: RepositoryParts, fork: () => EntityManager, signal: AbortSignal | undefined) {
    this.actor = parts.actor
    this.query = parts.query
    this.signal = signal
    this.#parts = parts
    this.#fork = fork
  }

  /** The repository of any table: `unit.of(plans)`. */
  of<T extends Table>(entity: T): Repository<T> {
    return new Repository(this.#parts, entity)
  }

  get tasks(): TaskRepository {
    return new TaskRepository(this.#parts)
  }

  get memories(): MemoryRepository {
    return new MemoryRepository(this.#parts)
  }

  get knowledge(): KnowledgeRepository {
    return new KnowledgeRepository(this.#parts)
  }

  get contexts(): ContextRepository {
    return new ContextRepository(this.#parts)
  }

  get patterns(): PatternRepository {
    return new PatternRepository(this.#parts)
  }

  get usage(): UsageRepository {
    return new UsageRepository(this.#parts)
  }

  get sync(): SyncRepository {
    return new SyncRepository(this.#parts)
  }

  /** MikroORM in this transaction, for what repositories do not say; what it tracks is flushed when the unit ends. */
  get em(): EntityManager {
    return (this.#em ??= this.#fork())
  }

  /** Writes what `em` tracks. */
  async flush(): Promise<void> {
    await this.#em?.flush()
  }
}
