import { systemClock } from '../../lib/clock.ts'
import { systemRandom } from '../../lib/random.ts'
import { seedDemo, type DemoExtent } from '../demo/demo.ts'
import type { DatabaseJob } from './command.ts'

/** Brings the schema up to date first, so that a fresh database can be seeded at once. */
export async function seed(
  { database, config, console }: DatabaseJob,
  extent: Exclude<DemoExtent, 'small'>,
): Promise<void> {
  await database.migrate(
    (name) => console.progress(`Applying ${name}`),
    config.embedding,
    (text) => console.progress(text),
  )
  const demo = await seedDemo(database.pool, {
    clock: systemClock,
    random: systemRandom,
    dimension: config.embedding.dimension,
    extent,
  })
  const [first, more] =
    extent === 'neighbours'
      ? ['Organizations demo and harbor are', ' Organization harbor is of hana@example.com.']
      : ['Organization demo is', '']
  console.answer(
    demo,
    demo.created
      ? `Organization demo has ada@example.com (owner), ben@, cy@ and eve@example.com, agents scout, pilot and critic, and projects demo and launch.${more}`
      : `${first} there already; nothing was changed.`,
  )
}
