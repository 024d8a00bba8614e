import { expectedTensors, type ModelConfig } from "../format/manifest.ts";
import { elements } from "./formats/checkpoint.ts";

/** Parameters of the float32 model: a tied head counts once, int8 scales do not count. */
export function parameterCount(config: ModelConfig): number {
  return expectedTensors(config)
    .filter(({ name }) => !name.endsWith(".scale"))
    .reduce((sum, { shape }) => sum + elements(shape), 0);
}
