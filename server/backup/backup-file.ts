/**
 * A backup file: one line that says what it is, then the dump, compressed (zstd) and encrypted.
 *
 *     TIDEWIRE BACKUP 1 {"kind":"postgres","keyId":"k1","salt":"…",…}\n
 *     sealed( zstd( length of the manifest (4 bytes) · manifest (JSON) · dump ) )
 *
 * What can be known of the rows is inside.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rename, rm, type FileHandle } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { constants, createZstdCompress, createZstdDecompress } from 'node:zlib'
import { z } from 'zod'
import type { Random } from '../../lib/random.ts'
import { TideError } from '../../protocol/error.ts'
import type { EncryptionKey } from '../credentials/credentials.ts'
import { unreadable } from './backup-error.ts'
import { inPieces, openStream, pieceBytes, sealStream } from './sealed-stream.ts'

const magic = 'TIDEWIRE BACKUP 1 '
const mostHeadBytes = 4096
const mostManifestBytes = 1024 * 1024

const headSchema = z.object({
  kind: z.enum(['postgres', 'embedded']),
  /** ISO time of the snapshot. */
  createdAt: z.string(),
  /** `server_version_num` of the database. */
  version: z.number(),
  /** Null: it is not encrypted. */
  keyId: z.string().nullable(),
  salt: z.string().nullable(),
})
export type BackupHead = z.infer<typeof headSchema>

const manifestSchema = z.object({
  /** Rows by table, as of the snapshot. */
  rowCounts: z.record(z.string(), z.number()),
  /** Newest migration that was applied. */
  migration: z.string().nullable(),
  /** Roles that policies name: the dump needs them and cannot make them. */
  roles: z.array(z.string()),
})
export type Manifest = z.infer<typeof manifestSchema>

export interface Written {
  readonly sizeBytes: number
  readonly sha256: Buffer
}

export interface WriteOptions {
  readonly path: string
  readonly head: Pick<BackupHead, 'kind' | 'createdAt' | 'version'>
  readonly manifest: Manifest
  readonly dump: AsyncIterable<Uint8Array>
  /** Absent: it is not encrypted. */
  readonly key: EncryptionKey | undefined
  readonly random: Random
  readonly onBytes?: (written: number) => void
  readonly signal?: AbortSignal
}

/** Writes the file beside its place and moves it there when it is whole and on the disk. */
export async function writeBackup(options: WriteOptions): Promise<Written> {
  const { path, head, manifest, dump, key, random, onBytes, signal } = options
  const salt = key && random.bytes(32)
  const full: BackupHead = { ...head, keyId: key?.id ?? null, salt: salt ? Buffer.from(salt).toString('base64') : null }
  const line = Buffer.from(`${magic}${JSON.stringify(full)}\n`)
  const plain = Readable.from(withManifest(manifest, dump), { objectMode: false, highWaterMark: pieceBytes })
  const zstd = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: 3 } })
  plain.on('error', (error) => zstd.destroy(error))
  const packed = plain.pipe(zstd)
  const sealed = key && salt ? sealStream(packed, { key: key.key, salt, context: line }) : packed
  const partial = `${path}.partial`
  const hash = createHash('sha256')
  let sizeBytes = 0
  let file: FileHandle | undefined
  try {
    file = await open(partial, 'wx', 0o600)
    const write = async (bytes: Uint8Array): Promise<void> => {
      signal?.throwIfAborted()
      await file?.writeFile(bytes)
      hash.update(bytes)
      sizeBytes += bytes.length
      onBytes?.(sizeBytes)
    }
    await write(line)
    for await (const bytes of sealed) await write(bytes as Uint8Array)
    await file.sync()
    await file.close()
    await rename(partial, path)
    return { sizeBytes, sha256: hash.digest() }
  } catch (error) {
    plain.destroy()
    zstd.destroy()
    await file?.close().catch(() => undefined)
    await rm(partial, { force: true })
    throw error
  }
}

async function* withManifest(manifest: Manifest, dump: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const text = Buffer.from(JSON.stringify(manifest))
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  yield Buffer.concat([length, text])
  yield* dump
}

export interface OpenedBackup {
  readonly head: BackupHead
  readonly manifest: Manifest
  /** The dump; to be read to its end, for only then is it known to be whole. */
  readonly dump: AsyncIterable<Uint8Array>
  close(): void
}

/** What a file says of itself in clear. Throws `backup_unreadable`. */
export async function readHead(path: string): Promise<BackupHead> {
  const source = createReadStream(path, { end: mostHeadBytes })
  try {
    return (await headOf(source)).head
  } finally {
    source.destroy()
  }
}

/**
 * Opens a file as far as its manifest. Throws `backup_unreadable`, and `secret_unreadable` when its key is not there.
 */
export async function openBackup(path: string, keys: readonly EncryptionKey[]): Promise<OpenedBackup> {
  const source = createReadStream(path, { highWaterMark: pieceBytes })
  const { head, line, rest } = await headOf(source)
  const packed = head.keyId === null ? rest : openStream(rest, keyOf(head, line, keys))
  const unpack = createZstdDecompress()
  const compressed = Readable.from(packed, { objectMode: false })
  compressed.on('error', (error) => unpack.destroy(error))
  compressed.pipe(unpack)
  const parts = manifestFirst(told(unpack))
  const close = (): void => {
    source.destroy()
    compressed.destroy()
    unpack.destroy()
  }
  try {
    const first = await parts.next()
    const manifest = manifestSchema.parse(JSON.parse(Buffer.from(first.value ?? []).toString()))
    return { head, manifest, dump: parts, close }
  } catch (error) {
    close()
    throw error instanceof TideError ? error : unreadable('says nothing readable of itself', error)
  }
}

async function headOf(
  source: AsyncIterable<Buffer>,
): Promise<{ readonly head: BackupHead; readonly line: Buffer; readonly rest: AsyncIterable<Uint8Array> }> {
  const chunks = source[Symbol.asyncIterator]()
  let read = Buffer.alloc(0)
  let end = -1
  while (end < 0 && read.length < mostHeadBytes) {
    const { value, done } = await chunks.next()
    if (done) break
    read = Buffer.concat([read, value])
    end = read.indexOf(0x0a)
  }
  const line = read.subarray(0, end + 1)
  const text = line.toString()
  const parsed = text.startsWith(magic) ? headSchema.safeParse(jsonOf(text.slice(magic.length))) : undefined
  if (!parsed?.success) throw unreadable('is no backup of Tidewire, or of a newer version of it')
  async function* rest(): AsyncGenerator<Uint8Array> {
    if (read.length > end + 1) yield read.subarray(end + 1)
    for (;;) {
      const { value, done } = await chunks.next()
      if (done) return
      yield value
    }
  }
  return { head: parsed.data, line, rest: rest() }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function keyOf(
  { keyId, salt }: BackupHead,
  line: Buffer,
  keys: readonly EncryptionKey[],
): Parameters<typeof openStream>[1] {
  const key = keys.find(({ id }) => id === keyId)
  if (key) return { key: key.key, salt: Buffer.from(salt ?? '', 'base64'), context: line }
  throw new TideError(
    'secret_unreadable',
    `The backup is encrypted with key ${keyId}, which is not in ENCRYPTION_KEYS.`,
  )
}

/** The manifest's bytes, and then those of the dump. */
async function* manifestFirst(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  let stage: 'length' | 'manifest' | 'dump' = 'length'
  let length = 4
  for await (const part of inPieces(source, () => (stage === 'dump' ? 0 : length))) {
    if (stage === 'length') {
      length = Buffer.from(part).readUInt32BE()
      if (length > mostManifestBytes) throw unreadable('is damaged')
      stage = 'manifest'
    } else if (stage === 'manifest') {
      stage = 'dump'
      yield part
    } else yield part
  }
}

/** What zstd cannot unpack is damage as well. */
async function* told(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  try {
    yield* source
  } catch (error) {
    throw error instanceof TideError ? error : unreadable('is damaged', error)
  }
}
