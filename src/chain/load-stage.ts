import type { MemoryPlan } from "../engine/memory.ts";
import { EdgeformerError } from "../errors.ts";
import type { ModelLayout } from "../format/layout.ts";
import type { ChainPlan, Manifest, PartInfo } from "../format/manifest.ts";
import { toHex } from "../hex.ts";
import { checkLoad, loadManifest, loadTable } from "../loading/load.ts";
import type { LoadOptions } from "../loading/load-options.ts";
import { loadWeights } from "../loading/weights.ts";
import { Model } from "../model.ts";
import { Pipeline } from "../serving/pipeline.ts";
import { Scheduler } from "../serving/scheduler.ts";
import { FirstStage } from "./first-stage.ts";
import { LayerStage } from "./layer-stage.ts";
import { planStage } from "./plan.ts";
import { type StageSpan, spansOf, stageLayout, stageParts } from "./stage-layout.ts";
import type { StageLink } from "./stage-message.ts";

/** What a stage is loaded with. Context, sequences and blocks are the plan's, so that all stages agree. */
export interface StageOptions extends Omit<LoadOptions, "context" | "maxSequences" | "kvBlocks"> {
  /** The stage behind; undefined for the last. */
  next: StageLink | undefined;
  /** Names the engine: stages with other ones could differ in a bit. [not compared] */
  engineId?: string;
}

/** A stage's share of a model directory. */
interface Share {
  manifest: Manifest;
  plan: ChainPlan;
  spans: StageSpan[];
  span: StageSpan;
  model: ModelLayout;
  memory: MemoryPlan;
  parts: PartInfo[];
  version: string;
}

/** Names what all stages of a chain must agree on: every bit of the weights, the cuts, the memory, the engine. */
export async function chainVersion(manifest: Manifest, plan: ChainPlan, engineId = ""): Promise<string> {
  const { architecture, config, tensors, parts } = manifest;
  const text = JSON.stringify([architecture, config, tensors, parts, plan, engineId]);
  return toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text))));
}

async function shareOf(options: StageOptions, index: number): Promise<Share> {
  checkLoad(options);
  const manifest = await loadManifest(options.source, options.signal);
  const plan = manifest.chain;
  if (plan === undefined)
    throw new EdgeformerError(
      "invalid_model",
      `model.json: ${manifest.name} is not cut into stages; run edgeformer split`,
    );
  const spans = spansOf(plan, manifest.recipe.layers.length);
  const span = spans[index];
  if (span === undefined)
    throw new EdgeformerError(
      "invalid_option",
      `stage ${index + 1} of a model that is cut into ${spans.length}`,
      { param: "stage" },
    );
  return {
    manifest,
    plan,
    spans,
    span,
    model: stageLayout(manifest, span),
    memory: planStage(manifest, span, plan),
    parts: stageParts(manifest, spans, index),
    version: await chainVersion(manifest, plan, options.engineId),
  };
}

/**
 * Loads a stage behind the first: its layers and nothing else.
 *
 * @param index from 1
 * @param instance a name that no other instance has
 * @throws EdgeformerError as loadModel does
 */
export async function loadLayerStage(
  options: StageOptions & { index: number; instance: string },
): Promise<LayerStage> {
  const { index, instance, next } = options;
  const { manifest, model, memory, parts, span, spans, version } = await shareOf(options, index);
  const engine = await loadWeights(options, { model, plan: memory, parts });
  const { hiddenSize } = manifest.recipe;
  return new LayerStage(engine, { span, hiddenSize, stages: spans.length, version, instance, next });
}

/**
 * Loads the first stage: a model that computes its other layers elsewhere.
 *
 * @param chain names the chain, where one stage serves several
 * @param newSession makes a name that no other session has
 * @throws EdgeformerError as loadModel does
 */
export async function loadFirstStage(
  options: StageOptions & { chain?: string; newSession: () => string },
): Promise<Model> {
  const { next, chain = "", newSession } = options;
  const { manifest, model, memory, parts, span, spans, version } = await shareOf(options, 0);
  if ((next === undefined) !== (spans.length === 1))
    throw new EdgeformerError(
      "invalid_option",
      next === undefined
        ? `the model is cut into ${spans.length} stages, but none is bound behind the first: bind NEXT`
        : "the model has one stage only, but another one is bound behind it",
      { param: "next" },
    );
  const tokenizer = await loadTable(options, manifest);
  const engine = await loadWeights(options, { model, plan: memory, parts });
  const { hiddenSize } = manifest.recipe;
  const stage = new FirstStage(engine, { to: span.to, hiddenSize, version, chain, newSession, next });
  const scheduler = new Scheduler({ ...memory, maxBatches: spans.length }, options);
  const stepper = new Pipeline(scheduler, stage, options.pause ?? (async () => {}));
  return new Model(manifest, { engine, stepper }, tokenizer, options.fastForward);
}
