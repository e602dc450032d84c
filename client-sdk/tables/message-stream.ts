import type { CancelTimer, Clock } from '../../lib/clock.ts'
import { TideError } from '../../protocol/error.ts'
import type { Patch, Row } from '../../protocol/rows/row.ts'
import type { PatchOf, RowOf } from '../../protocol/rows/row-type.ts'
import type { TableDescriptor } from '../../protocol/rows/table.ts'
import type { Write } from './write.ts'

/** What else is known of a message when its text has ended: model, tokens, tool calls. */
export type StreamEnd<T extends TableDescriptor> = Omit<PatchOf<T>, 'status'> & {
  readonly [K in Extract<keyof T['columns'], 'contentParts' | 'toolCalls'>]?: RowOf<T>[K]
}

/** A message while it is written. Its row grows with the text, for everybody who follows the conversation. */
export interface MessageStream<T extends TableDescriptor> {
  /** All that was written so far, also by an earlier stream of the message. */
  readonly text: string
  /**
   * Adds to the text. It is shown soon: four times a second, and less often where the text is long. Throws `closed`
   * after the end, and `message_too_large` beyond 400,000 characters, which adds nothing.
   */
  write(text: string): void
  /** The message is `complete`. Resolves when that is durable here. Nothing of it can be changed afterwards. */
  end(values?: StreamEnd<T>): Promise<Write>
  /** The message is `failed`, with the text so far. */
  fail(values?: StreamEnd<T>): Promise<Write>
}

/** A table whose rows can be streamed. */
export interface Streamable<T extends TableDescriptor> {
  /**
   * Goes on writing a message of this device whose status is `pending` or `streaming`, also after a restart. Throws
   * `not_found` for a message that is not here, `invalid_value` for one that has ended.
   */
  stream(id: string): Promise<MessageStream<T>>
}

/** What a stream needs of the client. */
export interface StreamSource {
  readonly clock: Pick<Clock, 'monotonic' | 'after'>
  row(id: string): Promise<Row | undefined>
  patch(id: string, set: Patch): Promise<Write>
  /** Calls back when the client is closed; answers the function that stops it. */
  onClose(listener: () => void): () => void
  /** The text could not be shown, and nobody waits for it. */
  reportError(error: unknown): void
}

/** A write carries the text twice, as it was and as it is, and has at most 1,000,000 characters. */
const mostText = 400_000
/** Between two times that the text is shown. Milliseconds. */
const leastPause = 250
/** What a long text costs each follower: so many characters a millisecond. */
const charactersPerMs = 20

/** Opens the message. Throws as `Streamable.stream`. */
export async function streamMessage(source: StreamSource, id: string): Promise<GrowingMessage> {
  const row = await source.row(id)
  if (row === undefined || (row['deletedAt'] ?? null) !== null)
    throw new TideError('not_found', `Message ${id} is not on this replica.`, {
      remedy: 'Insert it first, with the status `streaming`, or follow its conversation.',
    })
  const status = String(row['status'])
  if (status !== 'pending' && status !== 'streaming')
    throw new TideError('invalid_value', `Message ${id} is ${status}: its text has ended.`, {
      remedy: 'Insert another message, with the status `streaming`.',
    })
  return new GrowingMessage(source, id, String(row['content'] ?? ''))
}

/** Untyped inside; `MessageStream` says what its types are. */
export class GrowingMessage {
  readonly #source: StreamSource
  readonly #id: string
  readonly #forget: () => void
  #text: string
  #shown: string
  #shownAt = Number.NEGATIVE_INFINITY
  #cancel: CancelTimer | null = null
  #showing: Promise<void> = Promise.resolve()
  #hasEnded = false

  constructor(source: StreamSource, id: string, text: string) {
    this.#source = source
    this.#id = id
    this.#text = this.#shown = text
    // What was not shown yet is written before the replica is closed.
    this.#forget = source.onClose(() => {
      this.#hasEnded = true
      this.#show()
    })
  }

  get text(): string {
    return this.#text
  }

  write(text: string): void {
    this.#checkOpen()
    if (this.#text.length + text.length > mostText)
      throw new TideError('message_too_large', `Message ${this.#id} would have more than ${mostText} characters.`, {
        remedy: 'End it, and go on in another message.',
      })
    this.#text += text
    if (this.#cancel !== null) return
    const pause = Math.max(leastPause, this.#text.length / charactersPerMs)
    const due = this.#shownAt + pause - this.#source.clock.monotonic()
    this.#cancel = this.#source.clock.after(Math.max(0, due), () => this.#show())
  }

  end(values: Patch = {}): Promise<Write> {
    return this.#end('complete', values)
  }

  fail(values: Patch = {}): Promise<Write> {
    return this.#end('failed', values)
  }

  async #end(status: 'complete' | 'failed', values: Patch): Promise<Write> {
    this.#checkOpen()
    this.#hasEnded = true
    this.#stop()
    try {
      await this.#showing
      const write = await this.#source.patch(this.#id, { ...values, content: this.#text, status })
      this.#forget()
      return write
    } catch (error) {
      // A value was wrong, say: it can be ended again.
      this.#hasEnded = false
      throw error
    }
  }

  #show(): void {
    this.#stop()
    if (this.#shown === this.#text) return
    this.#shown = this.#text
    this.#shownAt = this.#source.clock.monotonic()
    const set = { content: this.#text, status: 'streaming' }
    // Writes that were not sent yet fold into one, so a stream without a connection keeps a single one.
    const shown = this.#source.patch(this.#id, set).then(() => undefined)
    this.#showing = Promise.all([this.#showing, shown]).then(
      () => undefined,
      (error: unknown) => this.#source.reportError(error),
    )
  }

  #stop(): void {
    this.#cancel?.()
    this.#cancel = null
  }

  #checkOpen(): void {
    if (this.#hasEnded)
      throw new TideError('closed', `The stream of message ${this.#id} has ended.`, {
        remedy: 'Insert another message for what comes after.',
      })
  }
}
