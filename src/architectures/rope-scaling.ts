import { excerpt } from "../excerpt.ts";
import type { ConfigFields } from "./config-fields.ts";
import type { Positions, RopeScaling } from "./recipe.ts";

/** What is read of `rope_scaling`, and kept. */
const SCALING_FIELDS = [
  "rope_type",
  "type",
  "factor",
  "low_freq_factor",
  "high_freq_factor",
  "original_max_position_embeddings",
];

/** Where a configuration says how its rotary embedding works: `rope_scaling`, since transformers 5 `rope_parameters`. */
function ropeParameters(fields: ConfigFields): Record<string, unknown> {
  const value = fields.peek("rope_parameters", "rope_scaling");
  if (value === undefined) return {};
  if (typeof value !== "object" || Array.isArray(value))
    fields.fail(`rope_scaling must be an object or null, not ${excerpt(value)}`);
  return value as Record<string, unknown>;
}

function parameter(fields: ConfigFields, raw: Record<string, unknown>, name: string): number {
  const value = raw[name];
  if (typeof value !== "number" || !(value > 0) || !Number.isFinite(value))
    fields.fail(`rope_scaling.${name} must be a positive number, not ${excerpt(value ?? null)}`);
  return value;
}

function scalingOf(fields: ConfigFields, raw: Record<string, unknown>): RopeScaling {
  const kind = raw.rope_type ?? raw.type ?? "default";
  if (kind === "default") return { kind: "none" };
  if (kind === "linear") return { kind, factor: parameter(fields, raw, "factor") };
  if (kind === "llama3") {
    const scaling = {
      kind,
      factor: parameter(fields, raw, "factor"),
      lowFreqFactor: parameter(fields, raw, "low_freq_factor"),
      highFreqFactor: parameter(fields, raw, "high_freq_factor"),
      originalMaxPositions: parameter(fields, raw, "original_max_position_embeddings"),
    } as const;
    if (scaling.highFreqFactor <= scaling.lowFreqFactor)
      fields.fail(
        `rope_scaling.high_freq_factor (${scaling.highFreqFactor}) must be above low_freq_factor (${scaling.lowFreqFactor})`,
      );
    return scaling;
  }
  return fields.unsupported(
    `rope_scaling of the type ${excerpt(kind)} is not supported; supported are default, linear and llama3`,
  );
}

/** The rotary embedding of a configuration in Llama's layout. */
export function rotaryPositions(fields: ConfigFields, headSize: number): Positions {
  const raw = ropeParameters(fields);
  const scaling = scalingOf(fields, raw);
  const read = Object.entries(raw).filter(([name]) => SCALING_FIELDS.includes(name));
  fields.keep("rope_scaling", scaling.kind === "none" ? null : Object.fromEntries(read));
  // Either place may name the base; transformers 5 moved it into the object.
  const theta = raw.rope_theta ?? fields.peek("rope_theta") ?? 10_000;
  if (typeof theta !== "number" || !(theta > 1) || !Number.isFinite(theta))
    fields.fail(`rope_theta must be a number above 1, not ${excerpt(theta)}`);
  fields.keep("rope_theta", theta);
  const share = raw.partial_rotary_factor ?? fields.peek("partial_rotary_factor") ?? 1;
  if (typeof share !== "number" || !(share > 0 && share <= 1))
    fields.fail(`partial_rotary_factor must be above 0 and at most 1, not ${excerpt(share)}`);
  fields.keep("partial_rotary_factor", share);
  const size = Math.floor(headSize * share);
  if (size < 2 || size % 2 !== 0)
    fields.unsupported(
      `rotary embedding turns pairs of channels, but head_dim ${headSize} × partial_rotary_factor ${share} gives ${size}`,
    );
  return { kind: "rotary", size, theta, scaling };
}

/**
 * The rotary frequencies, radians per position, in float32 as transformers computes them (`ROPE_INIT_FUNCTIONS`).
 * They are computed when a model is converted and are a tensor of it: runtimes differ in the last bits of their powers.
 *
 * @returns float32 [size / 2]
 */
export function rotaryFrequencies({
  size,
  theta,
  scaling,
}: Extract<Positions, { kind: "rotary" }>): Float32Array {
  const { fround } = Math;
  const frequencies = Float32Array.from({ length: size / 2 }, (_, i) =>
    fround(1 / fround(theta ** fround((2 * i) / size))),
  );
  if (scaling.kind === "none") return frequencies;
  if (scaling.kind === "linear") return frequencies.map((frequency) => fround(frequency / scaling.factor));
  const { factor, lowFreqFactor, highFreqFactor, originalMaxPositions } = scaling;
  return frequencies.map((frequency) => {
    const wavelength = (2 * Math.PI) / frequency;
    if (wavelength < originalMaxPositions / highFreqFactor) return frequency;
    const stretched = frequency / factor;
    if (wavelength > originalMaxPositions / lowFreqFactor) return stretched;
    const smooth = (originalMaxPositions / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
    return (1 - smooth) * stretched + smooth * frequency;
  });
}
