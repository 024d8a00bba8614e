// How a model's authors want it to be sampled: Hugging Face's generation_config.json, as far as this library has the
// same settings. model.json keeps it under the same names.

import { excerpt } from "../excerpt.ts";
import { SAMPLING_RANGES } from "../sampling-ranges.ts";

/** Settings that hold where a request is silent. One that is missing changes nothing. */
export interface GenerationConfig {
  /** 0 takes the likeliest token; up to 2. */
  temperature?: number;
  /** Keep only this many likeliest tokens; 0 keeps all. */
  top_k?: number;
  /** Keep the likeliest tokens whose probabilities add up to this, [0, 1]. */
  top_p?: number;
  /** Drop tokens less likely than this share of the likeliest, [0, 1]. */
  min_p?: number;
  /** [0.01, 10] */
  repetition_penalty?: number;
}

const within = ([least, greatest]: readonly [least: number, greatest: number]) => ({
  fits: (value: number) => value >= least && value <= greatest,
  wanted: `a number from ${least} to ${greatest}`,
});

/** What each setting must be. */
const FIELDS: Record<keyof GenerationConfig, { fits: (value: number) => boolean; wanted: string }> = {
  temperature: within(SAMPLING_RANGES.temperature),
  top_k: { fits: (value) => Number.isSafeInteger(value) && value >= 0, wanted: "an integer from 0" },
  top_p: within(SAMPLING_RANGES.topP),
  min_p: within(SAMPLING_RANGES.minP),
  repetition_penalty: within(SAMPLING_RANGES.repetitionPenalty),
};

/** The names of the settings. */
export const GENERATION_FIELDS = Object.keys(FIELDS) as (keyof GenerationConfig)[];

/** What is wrong with a setting's value; undefined for nothing. */
export function faultOf(field: keyof GenerationConfig, value: unknown): string | undefined {
  const { fits, wanted } = FIELDS[field];
  return typeof value === "number" && fits(value)
    ? undefined
    : `${field} must be ${wanted}, not ${excerpt(value)}`;
}
