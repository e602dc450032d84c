/** Those who ask while an answer is under way get the same one: nobody makes work by asking often. */
export function oneAtATime<T>(read: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<T> | undefined
  return () =>
    (underWay ??= read().finally(() => {
      underWay = undefined
    }))
}
