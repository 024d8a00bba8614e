/** The one token that a mask leaves, in which bit i stands for token i; undefined where it leaves none or several. */
export function onlyToken(mask: Uint32Array): number | undefined {
  let only: number | undefined;
  for (let i = 0; i < mask.length; i++) {
    const word = mask[i]!;
    if (word === 0) continue;
    if (only !== undefined || (word & (word - 1)) !== 0) return undefined;
    only = 32 * i + 31 - Math.clz32(word);
  }
  return only;
}
