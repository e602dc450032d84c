/** Where the examples find the server: TIDEWIRE_URL and TIDEWIRE_TOKEN. */
export function settings(): { readonly url: string; readonly token: string; readonly isOnce: boolean } {
  const { TIDEWIRE_URL: url = 'http://127.0.0.1:4600', TIDEWIRE_TOKEN: token } = process.env
  if (!token) {
    console.error('TIDEWIRE_TOKEN is not set. Try: export TIDEWIRE_TOKEN=$(npx tidewire token --user ada@example.com)')
    process.exit(2)
  }
  return { url, token, isOnce: process.argv.includes('--once') }
}
