/** `rope_scaling` of a Llama 3 configuration (transformers' `_compute_llama3_parameters`). */
export interface Llama3Scaling {
  rope_type: "llama3";
  factor: number;
  low_freq_factor: number;
  high_freq_factor: number;
  original_max_position_embeddings: number;
}

/** How far a factor may be from the one that the found parameters give: float32 rounds by less than a millionth. */
const TOLERANCE = 1e-5;

/**
 * The parameters behind the factors by which a GGUF file divides the rotary frequencies: 1 for short waves, `factor`
 * for long ones, and in between 1 / ((1 − s) / factor + s), where s falls evenly with the frequency. Only the ratios
 * of the original length to the two bounds show in them, so `low_freq_factor` is 1 here, as in all that Meta published.
 *
 * @param factors [rotated channels / 2]
 * @returns undefined if they are none of Llama 3's
 */
export function llama3Scaling(factors: Float32Array, theta: number): Llama3Scaling | undefined {
  const factor = factors.reduce((a, b) => Math.max(a, b), 0);
  if (!(factor > 1) || !Number.isFinite(factor)) return undefined;
  const turns = Array.from(factors, (_, i) => theta ** (-i / factors.length) / (2 * Math.PI));
  // Each point between the two bounds lies on the line s = slope · turns − shift.
  const between = turns.flatMap((turn, i) => {
    const value = factors[i] as number;
    return value > 1 && value < factor ? [{ turn, s: (1 / value - 1 / factor) / (1 - 1 / factor) }] : [];
  });
  const candidates: Llama3Scaling[] = [];
  const add = (original: number, high: number) =>
    candidates.push({
      rope_type: "llama3",
      factor,
      low_freq_factor: 1,
      high_freq_factor: high,
      original_max_position_embeddings: original,
    });
  const [first, last] = [between[0], between.at(-1)];
  if (first !== undefined && last !== undefined && first !== last) {
    const slope = (first.s - last.s) / (first.turn - last.turn);
    const shift = slope * first.turn - first.s;
    const high = 1 + 1 / shift;
    add(Math.round(slope / shift), Math.round(high * 1000) / 1000);
  }
  // Meta's own, for heads so small that hardly a frequency lies between.
  add(8192, 4);
  return candidates.find((scaling) =>
    turns.every((turn, i) => {
      const expected = llama3Factor(turn, scaling);
      return Math.abs((factors[i] as number) / expected - 1) < TOLERANCE;
    }),
  );
}

/** What a frequency of `turns` turns a position is divided by. */
function llama3Factor(turns: number, scaling: Llama3Scaling): number {
  const { factor, low_freq_factor: low, high_freq_factor: high } = scaling;
  const waves = turns * scaling.original_max_position_embeddings;
  if (waves >= high) return 1;
  if (waves <= low) return factor;
  const s = (waves - low) / (high - low);
  return 1 / ((1 - s) / factor + s);
}
