/** What a browser sees on the server's port: whether it works, and what to type next. Reads /ready every two seconds. */
export const statusPage = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Tidewire</title>
<style>
:root { color-scheme: light dark; --ink: light-dark(#15202b, #e6edf3); --soft: light-dark(#5b6b7a, #8b9aa8); --line: light-dark(#dfe5ea, #2a343d); --ground: light-dark(#fbfcfd, #0f1418); --good: #1a7f4b; --bad: #c2372b }
* { box-sizing: border-box }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; display: grid; place-items: center; min-height: 100vh; padding: 24px }
main { width: min(560px, 100%) }
h1 { font-size: 28px; letter-spacing: -.02em; margin: 0 0 4px }
p { margin: 0; color: var(--soft) }
.state { display: flex; align-items: center; gap: 10px; margin: 28px 0 12px; font-weight: 600 }
.dot { width: 10px; height: 10px; border-radius: 50%; background: var(--soft) }
.ready .dot { background: var(--good) } .broken .dot { background: var(--bad) }
dl { display: grid; grid-template-columns: 1fr auto; margin: 0; border-top: 1px solid var(--line) }
dt, dd { padding: 9px 0; margin: 0; border-bottom: 1px solid var(--line) }
dd { font-variant-numeric: tabular-nums; text-align: right }
h2 { font-size: 15px; margin: 28px 0 8px }
pre { margin: 0; padding: 12px 14px; border: 1px solid var(--line); border-radius: 8px; overflow-x: auto; font: 13px/1.6 ui-monospace, monospace }
a { color: inherit }
</style>
</head>
<body>
<main>
<h1>Tidewire</h1>
<p>One live state for agents, devices and apps.</p>
<div class="state" id="state" role="status"><span class="dot"></span><span id="word">Asking …</span></div>
<dl>
<dt>Database</dt><dd id="database">–</dd>
<dt>Last commit seen through the whole path</dt><dd id="canary">–</dd>
<dt>Connections</dt><dd id="connections">–</dd>
<dt>Version</dt><dd id="version">–</dd>
</dl>
<h2>Next</h2>
<pre>export TIDEWIRE_TOKEN=$(npx tidewire token --user ada@example.com)
npx node examples/watch-tasks.ts</pre>
<h2>Machines read</h2>
<p><a href="/health">/health</a> · <a href="/ready">/ready</a> · <a href="/metrics">/metrics</a></p>
</main>
<script>
const show = (id, text) => { document.getElementById(id).textContent = text }
async function ask() {
  let ready = null
  try { ready = await (await fetch('/ready')).json() } catch {}
  const state = document.getElementById('state')
  state.className = 'state ' + (ready && ready.ready ? 'ready' : 'broken')
  show('word', !ready ? 'The server does not answer' : ready.ready ? 'Ready' : 'Degraded')
  if (!ready) return
  show('database', (ready.embedded ? 'embedded, ' : 'Postgres, ') + (ready.database.ok ? 'answers in ' + ready.database.ms + ' ms' : 'does not answer'))
  show('canary', ready.canary.ageMs === null ? 'none yet' : (ready.canary.ageMs / 1000).toFixed(1) + ' s ago')
  show('connections', ready.connections)
  show('version', ready.version)
}
ask(); setInterval(ask, 2000)
</script>
</body>
</html>
`
