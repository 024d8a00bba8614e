import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Recipe } from "../../src/architectures/recipe.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { loadManifest } from "../../src/loading/load.ts";
import { directorySource } from "../../src/node/index.ts";
import { convertOdd, EngineHarness } from "../numerics/harness.ts";

/** The awkward little model in three engines: one to test, one with little cache, one to ask about requests alone. */
export interface OddModel {
  recipe: Recipe;
  /** 4 slots, 9 blocks: full with three sequences at full context. */
  engine: Engine;
  /** 4 slots, but just 2 blocks. */
  small: Engine;
  oracle: Engine;
  close(): void;
}

export async function openOdd(): Promise<OddModel> {
  const directory = mkdtempSync(join(tmpdir(), "edgeformer-"));
  const model = await convertOdd(directory);
  const { recipe } = await loadManifest(directorySource(model));
  const open = async (context: number, kvBlocks: number) =>
    (await EngineHarness.open(model, { context, maxSequences: 4, kvBlocks })).engine;
  return {
    recipe,
    engine: await open(37, 9),
    small: await open(32, 2),
    oracle: await open(37, 9),
    close: () => rmSync(directory, { recursive: true }),
  };
}
