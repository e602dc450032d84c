/**
 * Every code an error of Tidewire can carry, with its meaning and the usual remedy. `docs/errors.md` is kept equal to
 * this list by a test. Codes are never reused for another meaning.
 */
export const errorCodes = {
  agent_unavailable: {
    meaning:
      'An agent may begin no work now: it is not active, under maintenance, low on battery, or has as many tasks as it works on at a time.',
    remedy: 'Do what the message says of the agent, or claim again when that has passed.',
  },
  backup_failed: {
    meaning: 'A backup could not be made or restored.',
    remedy:
      'Do what the message says, and try again; a backup that failed leaves no file, a restore that failed changes nothing.',
  },
  backup_unreadable: {
    meaning: 'A file is no backup, or a damaged one.',
    remedy: 'Take another copy of the file, or an older backup.',
  },
  bad_filter: {
    meaning:
      'A filter names an unknown column or operator, is too deep or too long, or compares with a value of another type.',
    remedy: 'Correct the filter; the message names the part that was refused.',
  },
  bad_frame: {
    meaning: 'A frame is not of the protocol: truncated, not JSON, or its sections do not add up.',
    remedy: 'Use a client of a supported version; the connection stays open unless this repeats.',
  },
  bad_message: {
    meaning: 'A message is well formed but fails its schema.',
    remedy: 'Correct the field that the message names.',
  },
  capture_gap: {
    meaning: 'Commits were not captured, or rows changed without a trace.',
    remedy: 'Nothing: all replicas start over and keep their unsent writes.',
  },
  capture_unavailable: {
    meaning: 'Changes cannot be captured as CAPTURE says.',
    remedy: 'Run the statements that the message lists, or set CAPTURE=trigger.',
  },
  closed: {
    meaning: 'The client, the server or the database handle is closed.',
    remedy: 'Open a new one.',
  },
  config_invalid: {
    meaning: 'A setting has a value that cannot be used.',
    remedy: 'Set the named variable to one of the values that the message lists.',
  },
  conflict_already_resolved: {
    meaning: 'The conflict was settled before, in another way.',
    remedy: 'Read the row as it is now and change it if it is still wrong.',
  },
  conflict_unreachable: {
    meaning:
      'A write of this device lost to another one, and the replica does not hold the conflict any more: its channel was lost, or is not followed.',
    remedy:
      'Follow the channel again to settle it, retry the write to send its values once more, or discard it; the server keeps the conflict and its losing values.',
  },
  constraint_violated: {
    meaning: 'A CHECK of the table refuses the row.',
    remedy: 'Correct the named column.',
  },
  credential_expired: {
    meaning: 'A secret of a third party is past the time at which it ends.',
    remedy:
      'Store a new one with `npx tidewire credentials set`; a token with a refresh token is renewed by the server.',
  },
  cursor_ahead: {
    meaning: 'The replica has seen more than this database holds.',
    remedy: 'Nothing: the client bootstraps again and keeps its unsent writes.',
  },
  cursor_too_old: {
    meaning:
      'More has changed since the replica was last here than is sent as one batch, or the log does not reach back so far.',
    remedy: 'Nothing: the client bootstraps again and keeps its unsent writes.',
  },
  database_unreachable: {
    meaning: 'The database does not answer.',
    remedy: 'Check that it runs and that DATABASE_URL names it; `npx tidewire doctor` says more.',
  },
  dependency_rejected: {
    meaning: 'A write that this one builds upon was refused.',
    remedy: 'Retry or discard the write it depends on first.',
  },
  device_cloned: {
    meaning: 'Another copy of this replica has already sent under its identity.',
    remedy: 'Nothing: the client takes a new identity and sends again.',
  },
  device_principal_mismatch: {
    meaning: 'The replica belongs to another user, agent or organization.',
    remedy: 'Open a replica folder of its own for each principal and organization.',
  },
  device_revoked: {
    meaning: 'This device was revoked.',
    remedy: 'Register it anew with a fresh replica folder.',
  },
  encryption_unavailable: {
    meaning: 'A secret is to be stored, and there is no key to encrypt it with.',
    remedy: 'Set ENCRYPTION_KEYS, e.g. to k1:$(openssl rand -base64 32), and keep that key safe.',
  },
  extension_missing: {
    meaning: 'A migration needs an extension of Postgres that is not installed, or that its login may not make.',
    remedy: 'Install the packages, or have an administrator run the statement that the message names.',
  },
  forbidden: {
    meaning: 'The principal may not do this with this row.',
    remedy: 'Ask for a role that may; the message names the roles.',
  },
  foreign_key_violated: {
    meaning: 'The row refers to a row that does not exist, is deleted, or is not visible to the writer.',
    remedy: 'Insert the row it refers to first, or correct the reference.',
  },
  group_refused: {
    meaning: 'Another write of the same group was refused or in conflict, so none of the group was applied.',
    remedy: 'Correct the write that the outcome names and retry the group.',
  },
  internal: {
    meaning: 'A bug in Tidewire.',
    remedy: 'Report it with the log line; the write was not applied and may be retried.',
  },
  invalid_schema: {
    meaning: 'The declaration of the tables contradicts itself.',
    remedy: 'Correct the declaration that the message names.',
  },
  invalid_value: {
    meaning: 'A value does not fit its column.',
    remedy: 'Correct the value; the message names table, column and value.',
  },
  lease_lost: {
    meaning: 'The task is not claimed, or the lease has run out and another may have it.',
    remedy: 'Stop working on it, and claim a task again.',
  },
  limit_reached: {
    meaning: 'There are as many of something as are allowed.',
    remedy: 'End one that is not needed any more; the message says of what.',
  },
  message_too_large: {
    meaning: 'A message is larger than the server accepts.',
    remedy: 'Send fewer or smaller rows; the limit is in the message.',
  },
  mutation_out_of_order: {
    meaning: 'A write skipped or repeated a device counter.',
    remedy: 'Nothing: the client sends again from the counter that the message names.',
  },
  not_found: {
    meaning: 'There is no such row, or it is not visible here.',
    remedy: 'Check the id, and that a subscription holds the row.',
  },
  not_running: {
    meaning: 'There is no server to talk to.',
    remedy: 'Start it with `npx tidewire start`.',
  },
  offline: {
    meaning: 'This needs a connection, and there is none.',
    remedy: 'Try again when `tide.status.connection` is `live`.',
  },
  origin_not_allowed: {
    meaning: 'The page comes from an origin that may not connect to this server.',
    remedy: 'Add the origin to ALLOWED_ORIGINS of the server.',
  },
  outbox_full: {
    meaning: 'So many writes wait to be sent that no more are taken.',
    remedy: 'Connect, or discard writes that are refused.',
  },
  outcome_forgotten: {
    meaning: 'A write was answered so long ago that its outcome is no longer stored.',
    remedy: 'Read the row as it is now; write again if it is not as it should be.',
  },
  port_in_use: {
    meaning: 'Another process listens on the port.',
    remedy: 'Stop it, or set PORT to another one.',
  },
  program_missing: {
    meaning: 'A program of PostgreSQL that a backup needs is not there, or is older than the server.',
    remedy: 'Install the client programs of the version of the server, or set POSTGRES_BIN to their folder.',
  },
  protocol_unsupported: {
    meaning: 'Client and server speak no common protocol version.',
    remedy: 'Upgrade the older of the two.',
  },
  rate_limited: {
    meaning: 'More messages than the limit allows.',
    remedy: 'Wait as long as the message says.',
  },
  replica_failed: {
    meaning: 'The database of the replica cannot be opened, read or written.',
    remedy:
      'Open the replica again. If that fails too, delete its folder (or the data of the page): what the server has is fetched anew.',
  },
  replica_full: {
    meaning: 'The device has no room for what is to be written into the replica.',
    remedy: 'Make room on the device, then open the replica again: what was not confirmed was not written.',
  },
  replica_locked: {
    meaning: 'Another process has the folder of this replica open, or another tab its name.',
    remedy: 'Close the other one, or choose another folder or name.',
  },
  row_deleted: {
    meaning: 'The row is deleted.',
    remedy: 'Restore it first.',
  },
  schema_mismatch: {
    meaning: 'A table of the database is not as this server knows it.',
    remedy: 'Put back what the message names, or start the server that this schema is for.',
  },
  secret_unreadable: {
    meaning: 'A stored secret cannot be decrypted.',
    remedy: 'Put the key that the message names back into ENCRYPTION_KEYS, or store the secret anew.',
  },
  sign_in_refused: {
    meaning: 'The e-mail address or the password is wrong, or the account is locked.',
    remedy: 'Check both; after too many wrong passwords `rate_limited` says how long to wait.',
  },
  signature_invalid: {
    meaning: 'A webhook is not signed by whom its endpoint is for, or its time is not now.',
    remedy: 'Give both sides the same secret, and correct their clocks; the message says what does not fit.',
  },
  spend_limit_reached: {
    meaning: 'What a credential was used for this month has cost as much as its limit allows.',
    remedy: 'Raise the limit, use another credential, or wait for the next month (UTC).',
  },
  sql_failed: {
    meaning: 'The database of the replica refuses a query of `tide.sql`.',
    remedy: 'Correct the query; it can only read, and values go in as `${value}`.',
  },
  sql_unavailable: {
    meaning: 'The replica has no SQL: it is kept in memory.',
    remedy: "Use `find`, or connect with `replica: { kind: 'pglite', … }`.",
  },
  storage_full: {
    meaning: 'The database has no room.',
    remedy: 'Give Postgres more disk; the write waits and is sent again.',
  },
  subscription_limit: {
    meaning: 'The session has as many subscriptions as are allowed.',
    remedy: 'Unsubscribe from one first.',
  },
  table_locked: {
    meaning: 'A migration has waited in vain for a table that another transaction holds; nothing of it was applied.',
    remedy: 'End the transaction that the message names, and start again.',
  },
  target_refused: {
    meaning: 'A webhook is to be sent to an address that is not public, or without https.',
    remedy: 'Correct the URL; in a closed network, set WEBHOOK_PRIVATE_TARGETS=true.',
  },
  timeout: {
    meaning: 'An answer did not come in time.',
    remedy: 'Try again; the state of the connection is in `tide.status`.',
  },
  token_expired: {
    meaning: 'The token is past its end.',
    remedy: 'Get a new token; hand `connect` a function so that this happens by itself.',
  },
  token_invalid: {
    meaning: 'The token is missing, malformed, not signed by this server, or its principal is not active.',
    remedy: 'Make one with `npx tidewire token --user EMAIL`.',
  },
  too_many_connections: {
    meaning: 'A user, an agent or an address has as many connections to this server as are allowed.',
    remedy:
      'Nothing: the client comes again. If they are meant, set MAX_CONNECTIONS_PER_PRINCIPAL or MAX_CONNECTIONS_PER_ADDRESS higher.',
  },
  transition_refused: {
    meaning: 'The status may not move this way.',
    remedy: 'Move it by allowed steps; the message lists them.',
  },
  unique_violated: {
    meaning: 'Another row has the same unique key.',
    remedy: 'Change the named columns.',
  },
  unknown_column: {
    meaning: 'The table has no such column, or clients may not write it.',
    remedy: 'Leave the column out.',
  },
  unknown_table: {
    meaning: 'There is no such table, or it is not synced.',
    remedy: 'Use a table of the schema.',
  },
  version_conflict: {
    meaning: 'The row has another version than the one that the change was made for.',
    remedy: 'Read the row again and decide anew.',
  },
  write_in_flight: {
    meaning: 'The write is on its way, or answered, so that it can be neither retried nor discarded.',
    remedy: 'Wait for its outcome.',
  },
} as const satisfies Record<string, { readonly meaning: string; readonly remedy: string }>

export type ErrorCode = keyof typeof errorCodes
