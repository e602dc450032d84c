import { Component, createElement, StrictMode, type ReactNode } from 'react'
import { createRoot } from 'react-dom/client'
import { TidewireProvider, type TidewireProviderProps } from '../../client-sdk/react/react.ts'

/** What an error boundary shows of an error. */
class Boundary extends Component<{ readonly children: ReactNode }, { readonly error: unknown }> {
  override state: { readonly error: unknown } = { error: null }

  static getDerivedStateFromError(error: unknown): { readonly error: unknown } {
    return { error }
  }

  override render(): ReactNode {
    const { error } = this.state
    return error === null ? this.props.children : `error: ${codeOf(error)}`
  }
}

function codeOf(error: unknown): string {
  if (typeof error === 'object' && error !== null && 'code' in error) return String(error.code)
  return error instanceof Error ? error.message : String(error)
}

export interface Rendered {
  readonly text: string
  /** Shows something else under the same provider. */
  show(children: ReactNode): void
  unmount(): void
}

/** React on a page of its own, by react-dom's scheduler: nothing is awaited for it. */
export function render(
  client: TidewireProviderProps['client'],
  children: ReactNode,
  { strict = false }: { readonly strict?: boolean } = {},
): Rendered {
  const container = document.createElement('div')
  // What a boundary catches is expected here.
  const root = createRoot(container, { onCaughtError: () => undefined })
  const show = (content: ReactNode): void => {
    const provided = createElement(TidewireProvider, { client }, content)
    root.render(createElement(Boundary, null, strict ? createElement(StrictMode, null, provided) : provided))
  }
  show(children)
  return {
    get text() {
      return container.textContent ?? ''
    },
    show,
    unmount: () => root.unmount(),
  }
}
