import { DurableObject } from "cloudflare:workers";
import { loadFirstStage } from "../../src/chain/load-stage.ts";
import { createApp, type WorkerOptions } from "../app.ts";
import {
  type ChainEnv,
  type ChainOptions,
  chainSource,
  nextStage,
  type ObjectClass,
} from "./chain-config.ts";

/** What a coordinator answers. */
interface CoordinatorCalls {
  fetch(request: Request): Response | Promise<Response>;
}

/**
 * The class of the first stage's Durable Object: the endpoint, the scheduler, the tokenizer, the embedding, the head, and
 * layers. All requests of an object share one I/O context, so one may wait for the step that another began.
 *
 * The other stages' objects are named after this one: a second coordinator has stages of its own.
 */
export function createCoordinator(
  options: ChainOptions & Pick<WorkerOptions, "page">,
): ObjectClass<CoordinatorCalls> {
  return class Coordinator extends DurableObject<ChainEnv> {
    readonly #app = createApp({
      ...options,
      engineDigest: options.engineId,
      source: (env) => chainSource(options, env as ChainEnv),
      load: async (load) => {
        const chain = this.ctx.id.toString();
        const next = nextStage(this.env);
        const first = loadFirstStage({
          ...load,
          // A call to the next stage lets others have their turn; without one somebody has to.
          pause: next === undefined ? () => scheduler.wait(0) : async () => {},
          engineId: options.engineId,
          chain,
          newSession: () => crypto.randomUUID(),
          next,
        });
        const [model] = await Promise.all([first, next?.load(chain)]);
        return model;
      },
    });

    fetch(request: Request): Response | Promise<Response> {
      return this.#app.fetch(request, this.env, {
        waitUntil: (promise) => this.ctx.waitUntil(promise),
        passThroughOnException() {},
        props: {},
      });
    }
  };
}
