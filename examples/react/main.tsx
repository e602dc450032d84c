// The tasks of the demo project in React: live, offline too, and with a word on what is not everywhere yet.
//
//   npm start                                  # prints a token of ada
//   npx vite examples/react                    # then open http://localhost:5173/#TOKEN
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { connect } from '@tidewire/client'
import { TidewireProvider } from '@tidewire/client/react'
import { Tasks } from './tasks.tsx'

const [token = '', url = 'http://127.0.0.1:4600'] = location.hash.slice(1).split('@')
const root = document.querySelector('#root')
if (root === null) throw new Error('The page has no #root.')

if (token === '') {
  root.textContent = 'Open this page with a token behind the #: npx tidewire token --user ada@example.com prints one.'
} else {
  const tide = connect({
    url,
    token,
    replica: { kind: 'pglite', name: 'tidewire-react' },
    device: { name: 'react example', kind: 'browser' },
  })
  createRoot(root).render(
    <StrictMode>
      <TidewireProvider client={tide}>
        <Tasks />
      </TidewireProvider>
    </StrictMode>,
  )
}
