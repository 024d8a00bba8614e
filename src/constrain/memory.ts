// What constraints remember of where texts lead to. All of it can be made again: it saves work, and nothing depends on it.
// It grows with every text that is written, and a text may be long; so all of it is forgotten when it is too much.

interface Memory {
  clear(): void;
}

/** Bytes after which everything is forgotten, whichever constraints they belong to. */
export const MAX_BYTES = 6_000_000;
/** What an entry in the list below takes. */
const ENTRY_BYTES = 32;

const memories = new Set<Memory>();
let held = 0;

/** Notes that a memory has grown by so many bytes, roughly; `clear` will be called on it. */
export function remember(memory: Memory, bytes: number): void {
  held += bytes;
  if (memories.has(memory)) return;
  memories.add(memory);
  held += ENTRY_BYTES;
}

/** Bytes that are remembered now. */
export function rememberedBytes(): number {
  return held;
}

/** Forgets everything if it is too much. Not to be called while anything is being found out. */
export function forgetTooMuch(): void {
  if (held <= MAX_BYTES) return;
  for (const memory of memories) memory.clear();
  memories.clear();
  held = 0;
}
