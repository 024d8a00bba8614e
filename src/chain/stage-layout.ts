import type { TensorSpec } from "../architectures/recipe.ts";
import { EdgeformerError } from "../errors.ts";
import { type ModelLayout, placeTensors } from "../format/layout.ts";
import type { ChainPlan, Manifest, PartInfo } from "../format/manifest.ts";

/** What one stage of a chain has: its layers, and whether the embedding and the head are with them. */
export interface StageSpan {
  /** From 0 for the stage that has the embedding and the head. */
  index: number;
  /** Its layers: from … to−1. */
  from: number;
  to: number;
}

/** The stages of a plan, in their order. */
export function spansOf({ cuts }: Pick<ChainPlan, "cuts">, layers: number): StageSpan[] {
  const bounds = [0, ...cuts, layers];
  return bounds.slice(1).map((to, index) => ({ index, from: bounds[index]!, to }));
}

/**
 * Whether a stage needs a tensor. The rotary frequencies are needed by all: a few hundred bytes. What is before and
 * behind the layers is with the first one, because a tied embedding is the head, too, and is a third of a small model.
 */
export function isInStage({ role, layer }: TensorSpec, { index, from, to }: StageSpan): boolean {
  if (layer !== undefined) return layer >= from && layer < to;
  return role === "rotary" || index === 0;
}

/** A stage as a model of its own: its layers counted from 0, its tensors one behind another. */
export function stageLayout({ recipe, tensors }: ModelLayout, span: StageSpan): ModelLayout {
  const whole = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  const stage = {
    ...recipe,
    layers: recipe.layers.slice(span.from, span.to),
    tensors: recipe.tensors
      .filter((tensor) => isInStage(tensor, span))
      .map((tensor) =>
        tensor.layer === undefined ? tensor : { ...tensor, layer: tensor.layer - span.from },
      ),
  };
  const placed = placeTensors(stage, ({ name }) => whole.get(name)!.kind).tensors;
  return {
    recipe: stage,
    tensors: placed.map((tensor) => ({ ...whole.get(tensor.name)!, offset: tensor.offset })),
  };
}

/** A stretch of the image that the same stages need. */
interface Stretch {
  bytes: number;
  stages: readonly number[];
}

/** The image cut where it goes on in another stage. */
export function stretchesOf({ recipe, tensors }: ModelLayout, spans: readonly StageSpan[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (const [i, tensor] of recipe.tensors.entries()) {
    const stages = spans.filter((span) => isInStage(tensor, span)).map(({ index }) => index);
    const last = stretches.at(-1);
    if (last?.stages.join() === stages.join()) last.bytes += tensors[i]!.bytes;
    else stretches.push({ bytes: tensors[i]!.bytes, stages });
  }
  return stretches;
}

/**
 * The files that a stage loads, one behind another.
 *
 * @throws EdgeformerError `invalid_model` when a file has weights of two stages
 */
export function stageParts(manifest: Manifest, spans: readonly StageSpan[], index: number): PartInfo[] {
  const parts = [...manifest.parts];
  const chosen: PartInfo[] = [];
  for (const { bytes, stages } of stretchesOf(manifest, spans)) {
    let left = bytes;
    while (left > 0) {
      const part = parts.shift()!;
      left -= part.bytes;
      if (left < 0)
        throw new EdgeformerError(
          "invalid_model",
          `${part.file}: holds weights of more than one stage; cut the model again with edgeformer split`,
        );
      if (stages.includes(index)) chosen.push(part);
    }
  }
  return chosen;
}
