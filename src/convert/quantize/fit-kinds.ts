/** A tensor that could be stored in fewer bits, what that would save, and what it would cost. */
export interface Saving {
  name: string;
  /** Bytes that are saved; more than 0. */
  bytes: number;
  /** How much the model's answers change when only this tensor changes. */
  loss: number;
}

/**
 * Which savings to take so that `needed` bytes are saved at the least loss, as far as losses add up: those that cost
 * least for each byte, without the ones that turn out not to be needed.
 *
 * @returns the names; undefined when all savings together are not enough
 */
export function cheapestSavings(savings: readonly Saving[], needed: number): Set<string> | undefined {
  const byPrice = [...savings].sort((a, b) => a.loss / a.bytes - b.loss / b.bytes);
  const taken: Saving[] = [];
  let saved = 0;
  for (const saving of byPrice) {
    if (saved >= needed) break;
    taken.push(saving);
    saved += saving.bytes;
  }
  if (saved < needed) return undefined;
  const names = new Set(taken.map(({ name }) => name));
  for (const { name, bytes } of taken.sort((a, b) => b.loss - a.loss))
    if (saved - bytes >= needed) {
      saved -= bytes;
      names.delete(name);
    }
  return names;
}
