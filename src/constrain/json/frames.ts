// Arrays and objects that have begun.

import type { State } from "../state.ts";
import type { ArrayState } from "./array-rules.ts";
import type { Context, Frame, Thread } from "./context.ts";
import { KeyState, ObjectKeys } from "./keys.ts";
import type { ObjectState } from "./object-state.ts";
import { Place } from "./places.ts";

const [QUOTE, COMMA, COLON, CLOSE_ARRAY, CLOSE_OBJECT] = [0x22, 0x2c, 0x3a, 0x5d, 0x7d];

/** What the bracket leads to that closes an array or object; nothing if it may not come. */
function closing(
  context: Context,
  bracket: number,
  threads: readonly Thread<{ mayClose: boolean }>[],
): (byte: number) => State | undefined {
  const reached = threads.filter(({ state }) => state.mayClose).map(({ origin }) => origin);
  return (byte) => (byte === bracket ? context.end(reached) : undefined);
}

/** Behind a value. Nobody begins a line with a comma, but a small model that may goes on and on. */
function behindValue(
  context: Context,
  next: () => State | undefined,
  close: (byte: number) => State | undefined,
  mayClose: boolean,
): State {
  const token = (byte: number) => (byte === COMMA ? next() : close(byte));
  return new Place(context.making, token, mayClose ? close : undefined);
}

export function arrayFrame(context: Context, threads: readonly Thread<ArrayState>[]): Frame {
  const isUnique = threads.some(({ state }) => state.rules.isUnique);
  const items = context.inner(
    threads.flatMap(({ state, origin }) => state.steps.map((step) => ({ ...step, origin }))),
    (behind, value) => {
      const added = behind.flatMap(({ state, origin }) => {
        const next = state.with(value);
        return next ? [{ state: next, origin }] : [];
      });
      return context.array(added)?.between;
    },
    isUnique,
  );
  const close = closing(context, CLOSE_ARRAY, threads);
  const item = (byte: number) => items.begin(byte);
  const first = (byte: number) => close(byte) ?? item(byte);
  const next = items.goals.length > 0 ? new Place(context.making, item, item) : undefined;
  return {
    first: new Place(context.making, first, first),
    between: behindValue(
      context,
      () => next,
      close,
      threads.some(({ state }) => state.mayClose),
    ),
  };
}

export function objectFrame(context: Context, threads: readonly Thread<ObjectState>[]): Frame {
  const keys = new ObjectKeys(context.making, threads, (steps) => {
    const inner = context.inner(steps, (behind) => context.object(behind)?.between);
    const begin = (byte: number) => inner.begin(byte);
    const value = new Place(context.making, begin, begin);
    return new Place(context.making, (byte) => (byte === COLON ? value : undefined));
  });
  const close = closing(context, CLOSE_OBJECT, threads);
  const key = (byte: number) => (byte === QUOTE ? KeyState.begin(keys) : undefined);
  const first = (byte: number) => close(byte) ?? key(byte);
  const next = new Place(context.making, key, key);
  return {
    first: new Place(context.making, first, first),
    between: behindValue(
      context,
      () => (keys.any ? next : undefined),
      close,
      threads.some(({ state }) => state.mayClose),
    ),
  };
}
