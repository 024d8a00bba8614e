import { runInNewContext } from "node:vm";
import { EdgeformerError } from "../errors.ts";
import { excerpt } from "../excerpt.ts";

/** How long the regular expressions of an adapter may take for all its modules. */
const PATTERN_TIMEOUT_MS = 1000;

/** The fields of peft's LoraConfig that decide the merged weights. */
export interface LoraConfig {
  /** The model that the adapter was trained on: a hub id or a path; undefined if it is not said. */
  baseModel: string | undefined;
  /** The base model's branch, tag or commit on the hub. */
  baseRevision: string | undefined;
  rank: number;
  alpha: number;
  /** Ranks and alphas of single modules, by regular expression (Python's). */
  rankPattern: Map<string, number>;
  alphaPattern: Map<string, number>;
  /** Kalajdzievski 2023: the factor is alpha / √rank. */
  rankStabilized: boolean;
  /** Liu et al. 2024: each output's weights have a length of their own. */
  dora: boolean;
  /** Whether what changes a tied embedding changes the head with it. */
  tiesHead: boolean;
  /** Rows of embeddings that are replaced: for all of them, or by module. */
  tokenIndices: number[] | Map<string, number[]> | undefined;
}

/** @throws EdgeformerError `invalid_model` */
export function failAdapter(message: string): never {
  throw new EdgeformerError("invalid_model", `the LoRA adapter: ${message}`);
}

/** @throws EdgeformerError `unsupported_model` */
export function refuseAdapter(message: string): never {
  throw new EdgeformerError("unsupported_model", `the LoRA adapter: ${message}`);
}

/** What changes the forward pass in a way that no weight can express, or that this library does not compute. */
const REFUSED: Readonly<Record<string, string>> = {
  layer_replication: "it repeats layers; merge it with peft first",
  use_qalora: "QALoRA adapters belong to a quantized base; merge it with peft first",
  use_bdlora: "block-diagonal adapters are not supported; merge it with peft first",
  kasa_config: "KaSA adapters are not supported; merge it with peft first",
  monteclora_config: "Monte Carlo adapters are not supported; merge it with peft first",
  arrow_config: "a router between adapters cannot be merged",
  alora_invocation_tokens: "an adapter that acts after certain tokens only cannot be merged",
  target_parameters: "adapters of single parameters are not supported; merge it with peft first",
};

/** Initializations that take a part out of the base weights (peft, `init_lora_weights`). */
const CHANGED_BASE = /^(pissa(_niter_\d+)?|olora|corda|loftq|lora_ga)$/;

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function positive(value: unknown, name: string): number {
  if (typeof value !== "number" || !(value > 0) || !Number.isFinite(value))
    failAdapter(`${name} in adapter_config.json must be a positive number`);
  return value;
}

function rankOf(value: unknown, name: string): number {
  if (!Number.isSafeInteger(positive(value, name))) failAdapter(`${name} must be a whole number`);
  return value as number;
}

function text(value: unknown): string | undefined {
  return typeof value === "string" && value !== "" ? value : undefined;
}

/** The source of the expression that peft makes of a key: it matches a module's name, or the end of one. */
function expression(key: string): string {
  return `^(?:.*\\.)?(?:${key})$`;
}

function pattern(
  raw: unknown,
  name: string,
  parse: (value: unknown, name: string) => number,
): Map<string, number> {
  if (raw !== undefined && raw !== null && !isObject(raw)) failAdapter(`${name} must be an object`);
  const entries = Object.entries((raw ?? {}) as Record<string, unknown>);
  for (const [key] of entries) {
    try {
      new RegExp(expression(key), "u");
    } catch {
      refuseAdapter(`${name} has ${excerpt(key)}, a regular expression that is not supported`);
    }
  }
  return new Map(entries.map(([key, value]) => [key, parse(value, `${name}[${excerpt(key)}]`)]));
}

function indices(value: unknown, name: string): number[] {
  if (!Array.isArray(value) || !value.every((id) => Number.isSafeInteger(id) && id >= 0))
    failAdapter(`${name} must be a list of token ids`);
  return value;
}

function tokenIndices(raw: unknown): LoraConfig["tokenIndices"] {
  if (raw === undefined || raw === null) return undefined;
  if (!isObject(raw)) return indices(raw, "trainable_token_indices");
  return new Map(
    Object.entries(raw).map(([key, ids]) => [key, indices(ids, `trainable_token_indices[${excerpt(key)}]`)]),
  );
}

/** @param value adapter_config.json */
export function parseLoraConfig(value: unknown): LoraConfig {
  if (!isObject(value)) failAdapter("adapter_config.json is not an object");
  const { peft_type, init_lora_weights: initialization } = value;
  if (peft_type !== "LORA")
    refuseAdapter(
      `peft_type ${JSON.stringify(String(peft_type).slice(0, 40))} is not supported, only "LORA"`,
    );
  for (const [field, message] of Object.entries(REFUSED)) {
    const found = value[field];
    if (found && !(Array.isArray(found) && found.length === 0)) refuseAdapter(`${field}: ${message}`);
  }
  if (typeof initialization === "string" && CHANGED_BASE.test(initialization))
    refuseAdapter(
      `init_lora_weights is "${initialization}", which takes a part out of the base model's weights, so that it does not fit the ` +
        "base model as published; save it with peft's save_pretrained(…, path_initial_model_for_weight_conversion=…), " +
        "which makes an ordinary adapter of it, or merge it with peft first",
    );
  return {
    baseModel: text(value.base_model_name_or_path),
    baseRevision: text(value.revision),
    rank: rankOf(value.r, "r"),
    alpha: positive(value.lora_alpha, "lora_alpha"),
    rankPattern: pattern(value.rank_pattern, "rank_pattern", rankOf),
    alphaPattern: pattern(value.alpha_pattern, "alpha_pattern", positive),
    rankStabilized: value.use_rslora === true,
    dora: value.use_dora === true,
    tiesHead: value.ensure_weight_tying === true,
    tokenIndices: tokenIndices(value.trainable_token_indices),
  };
}

/**
 * For each module the value of the first key that matches it. An expression of somebody else's can take forever, so all
 * of them run under a time limit.
 */
function match(keys: Map<string, number>, modules: readonly string[], name: string): (number | undefined)[] {
  if (keys.size === 0) return modules.map(() => undefined);
  const sources = [...keys.keys()].map(expression);
  let found: number[];
  try {
    found = runInNewContext(
      'const all = sources.map((source) => new RegExp(source, "u")); modules.map((module) => all.findIndex((one) => one.test(module)))',
      { sources, modules },
      { timeout: PATTERN_TIMEOUT_MS },
    ) as number[];
  } catch (error) {
    const isSlow = (error as NodeJS.ErrnoException).code === "ERR_SCRIPT_EXECUTION_TIMEOUT";
    // One that is too large shows it only now.
    return refuseAdapter(`the regular expressions of ${name} ${isSlow ? "take too long" : "are too large"}`);
  }
  const values = [...keys.values()];
  return modules.map((_, i) => values[found[i]!]);
}

/**
 * The rank of each module and the factor on its product of matrices: alpha / rank, or alpha / √rank.
 *
 * @param modules their names in the model that was trained, with all prefixes, as peft compares them
 */
export function ranksAndFactors(
  config: LoraConfig,
  modules: readonly string[],
): { rank: number; factor: number }[] {
  const ranks = match(config.rankPattern, modules, "rank_pattern");
  const alphas = match(config.alphaPattern, modules, "alpha_pattern");
  return modules.map((_, i) => {
    const rank = ranks[i] ?? config.rank;
    const alpha = alphas[i] ?? config.alpha;
    return { rank, factor: alpha / (config.rankStabilized ? Math.sqrt(rank) : rank) };
  });
}
