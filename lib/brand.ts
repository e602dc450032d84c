declare const brand: unique symbol

/** A value that only its own constructor may make: `Brand<number, 'Seq'>` is a number that was checked to be a Seq. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name }
