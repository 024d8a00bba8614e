import * as z from "zod";
import { EdgeformerError, fetchSource, type ModelSource } from "../../src/index.ts";
import type { Env } from "../config.ts";
import { RemoteStage, type StageNamespace, type StagePatience } from "./stage-link.ts";

/** Bindings and variables of a stage's Worker. */
export interface ChainEnv extends Env {
  /** The next stage's objects; the last stage has none. */
  NEXT?: StageNamespace;
}

/** A Durable Object's own view of itself. */
export interface ObjectContext {
  readonly id: { toString(): string };
  waitUntil(promise: Promise<unknown>): void;
}

/** The class of a chain's Durable Objects: what it answers, and what every Durable Object has. */
export type ObjectClass<Calls> = new (
  ctx: ObjectContext,
  env: ChainEnv,
) => Calls & { readonly ctx: ObjectContext; readonly env: ChainEnv };

const variables = z.object({
  /** Which stage this is, from 1. */
  STAGE: z.coerce.number().int().min(1),
  STAGE_LOAD_MS: z.coerce.number().int().min(1).default(60_000),
  STAGE_STALL_MS: z.coerce.number().int().min(1).default(10_000),
});

interface ChainConfig {
  stage: number;
  patience: StagePatience;
}

/** @throws EdgeformerError `invalid_option` naming the variable */
export function readChainConfig(env: ChainEnv): ChainConfig {
  const result = variables.safeParse(env);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new EdgeformerError("invalid_option", `the variable ${issue?.path.join(".")}: ${issue?.message}`);
  }
  const { STAGE, STAGE_LOAD_MS, STAGE_STALL_MS } = result.data;
  return { stage: STAGE, patience: { loadMs: STAGE_LOAD_MS, runMs: STAGE_STALL_MS } };
}

/** The stage that is bound behind this one. */
export function nextStage(env: ChainEnv): RemoteStage | undefined {
  return env.NEXT && new RemoteStage(env.NEXT, readChainConfig(env).patience);
}

/** What the Workers of a chain need, and what they can be told. */
export interface ChainOptions {
  /** The compiled engine: `import engine from "edgeformer/engine.wasm"`. */
  engine: WebAssembly.Module;
  /** Names the engine, for the stages to compare and for `system_fingerprint`: the package's version, or a SHA-256. */
  engineId: string;
  /** Where the stage's model directory is. [the root of the `ASSETS` binding] */
  source?: (env: ChainEnv) => ModelSource;
}

export function chainSource({ source }: ChainOptions, env: ChainEnv): ModelSource {
  return (
    source?.(env) ?? fetchSource("https://assets.invalid/", (input, init) => env.ASSETS.fetch(input, init))
  );
}
