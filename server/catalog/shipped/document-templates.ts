interface Template {
  readonly key: string
  readonly name: string
  readonly kind: string
  readonly variables: readonly string[]
  /** Markdown; `{{name}}` stands for a variable. */
  readonly body: string
}

const sections = (title: string, ...headings: readonly string[]): string =>
  [`# ${title}`, ...headings.map((heading) => `## ${heading}`)].join('\n\n') + '\n'

export const documentTemplates: readonly Template[] = [
  {
    key: 'readme',
    name: 'Readme',
    kind: 'readme',
    variables: ['name'],
    body: sections('{{name}}', 'What it does', 'Getting started', 'Commands', 'Where to read on'),
  },
  {
    key: 'prd',
    name: 'Product requirements',
    kind: 'prd',
    variables: ['name'],
    body: sections(
      '{{name}}',
      'Problem',
      'Who has it',
      'What must be true',
      'What it is not',
      'How we know',
      'Open questions',
    ),
  },
  {
    key: 'adr',
    name: 'Architecture decision',
    kind: 'adr',
    variables: ['title', 'date'],
    body: sections('{{title}}', '{{date}}: state', 'Situation', 'Decision', 'What follows', 'What was given up'),
  },
  {
    key: 'runbook',
    name: 'Runbook',
    kind: 'guide',
    variables: ['name'],
    body: sections('{{name}}', 'How it shows', 'Who is affected', 'First steps', 'Causes and remedies', 'Afterwards'),
  },
]
