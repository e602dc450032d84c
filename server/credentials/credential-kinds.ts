/** What a stored secret of a third party may be. */
export const credentialKinds = [
  'api_key',
  'oauth_token',
  'bot_token',
  'webhook_secret',
  'signing_key',
  'push_token',
] as const
export type CredentialKind = (typeof credentialKinds)[number]
