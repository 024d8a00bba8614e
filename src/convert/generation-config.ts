// generation_config.json: how a model's authors want it to be sampled, and which tokens end a text.

import { excerpt } from "../excerpt.ts";
import { faultOf, GENERATION_FIELDS, type GenerationConfig } from "../format/generation.ts";
import { type CheckpointSource, MAX_CONFIG_BYTES, readJson } from "./inputs/files.ts";

const FILE = "generation_config.json";

export interface ReadGeneration {
  /** Undefined where the checkpoint asks for nothing. */
  settings: GenerationConfig | undefined;
  /** `eos_token_id` as it stands there: one id, a list, or anything else. */
  eosTokenId: unknown;
  /** Sentences for whoever converts. */
  warnings: string[];
}

/** A setting as this library has it; transformers turns a filter off with null, and `top_k` with −1 as well. */
function settingOf(field: keyof GenerationConfig, value: unknown): unknown {
  if (value === null) return undefined;
  return field === "top_k" && value === -1 ? 0 : value;
}

/**
 * The sampling settings of a checkpoint, as vLLM reads them: the numbers count whether or not `do_sample` is set. Only
 * `do_sample: false` without a temperature asks for the likeliest token each time. What cannot be used is left out, and
 * said.
 *
 * @throws EdgeformerError `invalid_model` if the file is no JSON
 */
export async function readGeneration(source: CheckpointSource): Promise<ReadGeneration> {
  const json = await readJson(source, FILE, MAX_CONFIG_BYTES);
  const warnings: string[] = [];
  if (json === undefined) return { settings: undefined, eosTokenId: undefined, warnings };
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    warnings.push(`${FILE} is left out: it must be an object, not ${excerpt(json)}`);
    return { settings: undefined, eosTokenId: undefined, warnings };
  }
  const raw = json as Record<string, unknown>;
  const settings: GenerationConfig = {};
  for (const field of GENERATION_FIELDS) {
    const value = settingOf(field, raw[field]);
    if (value === undefined) continue;
    const fault = faultOf(field, value);
    if (fault === undefined) settings[field] = value as number;
    else warnings.push(`${FILE}: ${fault}; it is left out`);
  }
  if (raw.do_sample === false) settings.temperature ??= 0;
  return {
    settings: Object.keys(settings).length === 0 ? undefined : settings,
    eosTokenId: raw.eos_token_id,
    warnings,
  };
}

const listOf = (value: unknown): unknown[] => (Array.isArray(value) ? value : [value ?? []].flat());

/**
 * A configuration whose `eos_token_id` has every token that ends a text, whichever file names it: config.json first,
 * then `more`. transformers and vLLM stop at each of these, too.
 */
export function withEosTokens(config: Record<string, unknown>, ...more: unknown[]): Record<string, unknown> {
  const ids = [config.eos_token_id, ...more].flatMap(listOf);
  return ids.length === 0 ? config : { ...config, eos_token_id: [...new Set(ids)] };
}
