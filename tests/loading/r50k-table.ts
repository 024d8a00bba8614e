import ranks from "gpt-tokenizer/bpeRanks/r50k_base";

const encoder = new TextEncoder();

/** One character per byte, to be a key of a map. */
function keyOf(bytes: ArrayLike<number>): string {
  return String.fromCharCode(...Array.from(bytes));
}

/**
 * What src/text/r50k-merges.ts must hold: for each id from 256 on the two ids that it was merged from, as little-endian
 * uint16 pairs in base64. The pair is what BPE makes of the token's bytes with the merges learnt before it.
 */
export function mergesTable(): string {
  const spellings = Array.from(ranks, (spelling) =>
    keyOf(typeof spelling === "string" ? encoder.encode(spelling) : (spelling ?? [])),
  );
  const idOf = new Map(spellings.map((spelling, id) => [spelling, id]));
  const table = new Uint16Array((spellings.length - 256) * 2);
  for (let id = 256; id < spellings.length; id++) {
    const parts = [...spellings[id]!];
    while (parts.length > 2) {
      let [best, place] = [id, -1];
      for (let i = 0; i + 1 < parts.length; i++) {
        const merged = idOf.get(parts[i]! + parts[i + 1]!) ?? id;
        if (merged < best) [best, place] = [merged, i];
      }
      if (place === -1) throw new Error(`token ${id} is no merge of two others`);
      parts.splice(place, 2, parts[place]! + parts[place + 1]!);
    }
    table.set(
      parts.map((part) => idOf.get(part)!),
      (id - 256) * 2,
    );
  }
  return Buffer.from(table.buffer).toString("base64");
}
