/**
 * How recent a row is, 1 falling towards 0, in SQL over alias `t`. A table with a `decay_rate` fades by it for each day since the
 * row was last of use; another halves in a month since its last change. The exponent is bounded, because PostgreSQL answers
 * an underflow with an error.
 */
export function recencySql(decays: boolean): string {
  const [rate, since] = decays
    ? ['t.decay_rate', 'greatest(t.last_accessed_at, t.last_reinforced_at, t.created_at)']
    : ['0.0231', 't.updated_at']
  return `exp(greatest(-${rate} * extract(epoch from now() - ${since})::double precision / 86400, -700))`
}
