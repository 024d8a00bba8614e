import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { loadFirstStage, loadLayerStage } from "../../src/chain/load-stage.ts";
import { type ChainOptions, planChain } from "../../src/chain/plan.ts";
import type { StageBatch, StageLink, StageOpening } from "../../src/chain/stage-message.ts";
import { cutModel, stageModel } from "../../src/convert/split/cut-model.ts";
import type { ChainPlan, Manifest } from "../../src/format/manifest.ts";
import { loadManifest } from "../../src/loading/load.ts";
import type { Model } from "../../src/model.ts";
import { directorySource, engineModule } from "../../src/node/index.ts";

/** Hands over only what structured cloning can copy, as a hop between isolates does. */
function hop(link: StageLink): StageLink {
  const turn = () => new Promise((resolve) => setImmediate(resolve));
  return {
    async open(opening: StageOpening) {
      await turn();
      return structuredClone(await link.open(structuredClone(opening)));
    },
    async run(batch: StageBatch) {
      const received = structuredClone(batch);
      await turn();
      return structuredClone(await link.run(received));
    },
  };
}

/** A model directory cut into stages, in a directory that disappears at the end. */
export class CutModel {
  readonly manifest: Manifest;
  readonly #out: string;

  private constructor(manifest: Manifest, out: string) {
    this.manifest = manifest;
    this.#out = out;
  }

  static async make(directory: string, options: ChainOptions): Promise<CutModel> {
    const source = directorySource(directory);
    const manifest = await loadManifest(source);
    return CutModel.cut(directory, planChain(manifest, options));
  }

  static async cut(directory: string, plan: ChainPlan, maxPartBytes?: number): Promise<CutModel> {
    const out = await mkdtemp(join(tmpdir(), "edgeformer-chain-"));
    const source = directorySource(directory);
    return new CutModel(await cutModel(source, await loadManifest(source), plan, out, maxPartBytes), out);
  }

  get stages(): number {
    return this.manifest.chain!.cuts.length + 1;
  }

  /** The model directory of a stage, from 1. */
  directory(stage: number): string {
    return stageModel(this.#out, stage);
  }

  /** All stages in this process. `wrap` may stand between a stage and the one before it. */
  async open(
    options: { promptLookup?: number } = {},
    wrap: (link: StageLink, stage: number) => StageLink = (link) => link,
  ): Promise<Model> {
    const module = await engineModule();
    let next: StageLink | undefined;
    for (let index = this.stages - 1; index > 0; index--) {
      const source = directorySource(this.directory(index + 1));
      const stage = await loadLayerStage({ module, source, index, instance: `instance ${index + 1}`, next });
      next = wrap(hop(stage), index + 1);
    }
    let sessions = 0;
    return loadFirstStage({
      module,
      source: directorySource(this.directory(1)),
      next,
      newSession: () => `session ${++sessions}`,
      pause: () => new Promise((resolve) => setImmediate(resolve)),
      ...options,
    });
  }

  remove(): Promise<void> {
    return rm(this.#out, { recursive: true });
  }
}
