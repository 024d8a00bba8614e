import { DurableObject } from "cloudflare:workers";
import type { LayerStage } from "../../src/chain/layer-stage.ts";
import { loadLayerStage } from "../../src/chain/load-stage.ts";
import type { StageBatch, StageOpening } from "../../src/chain/stage-message.ts";
import { streamingDigest } from "../digest.ts";
import {
  type ChainEnv,
  type ChainOptions,
  chainSource,
  nextStage,
  type ObjectClass,
  readChainConfig,
} from "./chain-config.ts";
import { answered, type RemoteStage, type StageAnswer, type StageCalls } from "./stage-link.ts";

/**
 * The class of a stage's Durable Object: its layers, with the keys and values of whoever runs. Everything is in memory.
 * An instance that was evicted begins anew, and says so by knowing no session.
 */
export function createStage(options: ChainOptions): ObjectClass<StageCalls> {
  return class Stage extends DurableObject<ChainEnv> implements StageCalls {
    readonly #next: RemoteStage | undefined = nextStage(this.env);
    #stage: Promise<LayerStage> | undefined;

    /** Loaded once; after a failure the next call tries again. */
    #loaded(): Promise<LayerStage> {
      this.#stage ??= loadLayerStage({
        module: options.engine,
        source: chainSource(options, this.env),
        digest: streamingDigest,
        index: readChainConfig(this.env).stage - 1,
        instance: crypto.randomUUID(),
        next: this.#next,
        engineId: options.engineId,
      }).catch((error) => {
        this.#stage = undefined;
        throw error;
      });
      return this.#stage;
    }

    load(chain: string): Promise<StageAnswer<null>> {
      return answered(async () => {
        await Promise.all([this.#loaded(), this.#next?.load(chain)]);
        return null;
      });
    }

    open(opening: StageOpening): Promise<StageAnswer<string[]>> {
      return answered(async () => (await this.#loaded()).open(opening));
    }

    run(batch: StageBatch): Promise<StageAnswer<Float32Array>> {
      return answered(async () => (await this.#loaded()).run(batch));
    }
  };
}
