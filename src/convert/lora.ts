import type { Recipe } from "../architectures/recipe.ts";
import { EdgeformerError } from "../errors.ts";
import type { Dialect } from "./dialects/dialect.ts";
import { type Checkpoint, type CheckpointTensor, elements } from "./formats/checkpoint.ts";
import { openCheckpoint } from "./formats/open.ts";
import { type CheckpointSource, readJson } from "./inputs/files.ts";
import { canonicalTensors } from "./weights.ts";

/** The fields of peft's LoraConfig that decide the merged weights. */
interface LoraConfig {
  r: number;
  alpha: number;
  rankStabilized: boolean;
  alphaPattern: Record<string, number>;
}

const WEIGHTS_FILES = ["adapter_model.safetensors", "adapter_model.bin"];

function fail(message: string): never {
  throw new EdgeformerError("invalid_model", `the LoRA adapter: ${message}`);
}

function unsupported(message: string): never {
  throw new EdgeformerError("unsupported_model", `the LoRA adapter: ${message}`);
}

function positive(value: unknown, name: string): number {
  if (typeof value !== "number" || !(value > 0) || !Number.isFinite(value))
    fail(`${name} in adapter_config.json must be a positive number`);
  return value;
}

function parseLoraConfig(value: unknown): LoraConfig {
  if (typeof value !== "object" || value === null) fail("adapter_config.json is not an object");
  const raw = value as Record<string, unknown>;
  if (raw.peft_type !== "LORA")
    unsupported(`peft_type ${JSON.stringify(raw.peft_type)} is not supported, only LORA`);
  for (const flag of ["use_dora", "layer_replication", "use_qalora", "use_bdlora"])
    if (raw[flag]) unsupported(`${flag} is not supported; merge it with peft first`);
  const pattern = (raw.alpha_pattern ?? {}) as Record<string, unknown>;
  return {
    r: positive(raw.r, "r"),
    alpha: positive(raw.lora_alpha, "lora_alpha"),
    rankStabilized: raw.use_rslora === true,
    alphaPattern: Object.fromEntries(
      Object.entries(pattern).map(([key, alpha]) => {
        if (!/^[\w.]+$/.test(key))
          unsupported(`the regular expression ${key} in alpha_pattern is not supported`);
        return [key, positive(alpha, "alpha_pattern")];
      }),
    ),
  };
}

/** alpha / r, or alpha / √r when rank-stabilized (Kalajdzievski 2023), with a module's own alpha if it has one. */
function scaling(config: LoraConfig, module: string, rank: number): number {
  const own = Object.entries(config.alphaPattern).find(
    ([key]) => module === key || module.endsWith(`.${key}`),
  );
  return (own?.[1] ?? config.alpha) / (config.rankStabilized ? Math.sqrt(rank) : rank);
}

interface Factors {
  a?: CheckpointTensor;
  b?: CheckpointTensor;
}

/** Sorts an adapter's tensors into low-rank factors by module and tensors that replace the checkpoint's. */
function sortAdapter(
  adapter: Checkpoint,
  dialect: Dialect,
): {
  factors: Map<string, Factors>;
  replacements: Map<string, CheckpointTensor>;
} {
  const factors = new Map<string, Factors>();
  const replacements = new Map<string, CheckpointTensor>();
  for (const [name, tensor] of adapter.tensors) {
    const bare = dialect.canonicalName(name.replace(/^base_model\.model\./, ""));
    const match = /^(.+)\.lora_([AB])(?:\.default)?\.weight$/.exec(bare);
    if (match === null) {
      if (bare.includes("lora_")) unsupported(`${name} is not supported; merge it with peft first`);
      replacements.set(bare.replace(".base_layer.", ".").replace(".modules_to_save.", "."), tensor);
      continue;
    }
    const [, module, side] = match as unknown as [string, string, "A" | "B"];
    const entry = factors.get(module) ?? {};
    entry[side === "A" ? "a" : "b"] = tensor;
    factors.set(module, entry);
  }
  return { factors, replacements };
}

/** weight + scaling · B · A (Hu et al. 2021), in the orientation of the base weight. */
async function mergedTensor(
  base: CheckpointTensor,
  { a, b }: Factors,
  module: string,
  config: LoraConfig,
  transposed: boolean,
): Promise<CheckpointTensor> {
  if (a?.shape.length !== 2 || b?.shape.length !== 2 || a.shape[0] !== b.shape[1])
    return fail(`${module} has no matching pair of lora_A and lora_B`);
  const [rank, inputs] = a.shape as [number, number];
  const outputs = b.shape[0] as number;
  const shape = transposed ? [inputs, outputs] : [outputs, inputs];
  if (base.shape.join() !== shape.join())
    fail(`${module} is made for a weight of [${shape}], but the checkpoint's is [${base.shape}]`);
  const down = await a.read(0, elements(a.shape));
  const up = await b.read(0, elements(b.shape));
  const scale = scaling(config, module, rank);
  const columns = shape[1] as number;
  return {
    shape: base.shape,
    dtype: "F32",
    async read(start, count) {
      const values = await base.read(start, count);
      for (let i = 0; i < count; i++) {
        const [row, column] = [Math.floor((start + i) / columns), (start + i) % columns];
        const [input, output] = transposed ? [row, column] : [column, row];
        let delta = 0;
        for (let r = 0; r < rank; r++)
          delta += (up[output * rank + r] as number) * (down[r * inputs + input] as number);
        values[i] = (values[i] as number) + scale * delta;
      }
      return values;
    },
  };
}

/**
 * A checkpoint with a LoRA adapter (peft's layout) merged into it.
 *
 * @param source holds adapter_config.json and adapter_model.safetensors or .bin
 * @returns the merged checkpoint, which owns both, and the adapter's files
 * @throws EdgeformerError `invalid_model` or `unsupported_model`
 */
export async function mergeLora(
  checkpoint: Checkpoint,
  source: CheckpointSource,
  dialect: Dialect,
  recipe: Recipe,
): Promise<{ checkpoint: Checkpoint; paths: string[] }> {
  const json = await readJson(source, "adapter_config.json");
  if (json === undefined) fail(`${source.label} has no adapter_config.json`);
  const config = parseLoraConfig(json);
  const { checkpoint: adapter, paths } = await openCheckpoint(source, WEIGHTS_FILES);
  try {
    const { factors, replacements } = sortAdapter(adapter, dialect);
    if (factors.size === 0) fail("it holds no lora_A and lora_B matrices");
    const tensors = canonicalTensors(checkpoint, dialect);
    for (const [name, tensor] of replacements) tensors.set(name, tensor);
    const transposed = new Set(
      recipe.tensors
        .flatMap((tensor) => dialect.values(tensor, recipe))
        .flatMap((source) => (source.transposed ? [source.name] : [])),
    );
    for (const [module, pair] of factors) {
      const name = `${module}.weight`;
      const base = tensors.get(name);
      if (base === undefined) return fail(`it changes ${module}, which the checkpoint does not have`);
      tensors.set(name, await mergedTensor(base, pair, module, config, transposed.has(name)));
    }
    const close = async () => {
      await checkpoint.close();
      await adapter.close();
    };
    return { checkpoint: { tensors, close }, paths };
  } catch (error) {
    await adapter.close();
    throw error;
  }
}
