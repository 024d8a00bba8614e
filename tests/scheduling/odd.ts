import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Engine } from "../../src/engine/engine.ts";
import { loadManifest } from "../../src/loading/load.ts";
import { directorySource } from "../../src/node/index.ts";
import { type GenerateOptions, resolveOptions } from "../../src/options.ts";
import { EngineStage } from "../../src/serving/engine-stage.ts";
import { Generation } from "../../src/serving/sequence.ts";
import type { Tokenizer } from "../../src/text/tokenizer.ts";
import { convertOdd, EngineHarness } from "../numerics/harness.ts";
import { EngineScheduler } from "./engine-scheduler.ts";
import type { System } from "./simulation.ts";

/** The awkward little model in three engines: one to test, one with little cache, one to ask about requests alone. */
export class OddModel {
  readonly vocabSize: number;
  readonly eosTokenIds: readonly number[];
  /** 4 slots, 9 blocks: full with three sequences at full context. */
  readonly engine: Engine;
  /** 4 slots, but just 2 blocks. */
  readonly small: Engine;
  readonly #oracle: Engine;
  readonly #directory: string;

  private constructor(
    directory: string,
    vocabSize: number,
    eosTokenIds: readonly number[],
    engines: Engine[],
  ) {
    this.#directory = directory;
    this.vocabSize = vocabSize;
    this.eosTokenIds = eosTokenIds;
    [this.engine, this.small, this.#oracle] = engines as [Engine, Engine, Engine];
  }

  static async open(): Promise<OddModel> {
    const directory = mkdtempSync(join(tmpdir(), "edgeformer-"));
    const model = await convertOdd(directory);
    const { recipe } = await loadManifest(directorySource(model));
    const engine = async (context: number, kvBlocks: number) =>
      (await EngineHarness.open(model, { context, maxSequences: 4, kvBlocks })).engine;
    const engines = [await engine(37, 9), await engine(32, 2), await engine(37, 9)];
    return new OddModel(directory, recipe.vocabSize, recipe.eosTokenIds, engines);
  }

  /** A request to this model; its seed is 1 unless the options say otherwise. */
  generation(prompt: number[], options: GenerateOptions = {}, tokenizer?: Tokenizer): Generation {
    const resolved = resolveOptions({ seed: 1, ...options }, this.vocabSize);
    return new Generation(prompt, resolved, this.eosTokenIds, tokenizer);
  }

  /** The engine to test, and the oracle for what a request gives alone, from a cold cache and without guesses. */
  get system(): System {
    return {
      capacity: this.engine.plan,
      context: this.engine.plan.context,
      vocabSize: this.vocabSize,
      stage: new EngineStage(this.engine),
      generation: (prompt, options) => this.generation(prompt, options),
      finish: (generation) => {
        const scheduler = new EngineScheduler(this.#oracle, { promptLookup: 0 });
        scheduler.add(generation);
        while (!generation.finished) scheduler.step();
      },
    };
  }

  close(): void {
    rmSync(this.#directory, { recursive: true });
  }
}
