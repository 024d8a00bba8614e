import type { Model } from "../src/index.ts";
import { type Delta, mergeDeltas } from "./choice.ts";
import { bestOf, type Plan, runPlan, usageOf } from "./completions.ts";
import type { Config } from "./config.ts";
import type { RequestContext } from "./context.ts";
import { toHttpError } from "./errors.ts";
import { ClientGone, EventStream } from "./events.ts";
import type { ChoiceShape, UsageShape } from "./schema.ts";

/** How an endpoint words what was computed. */
export interface Wire {
  /** What an id begins with. */
  prefix: string;
  /** `object` of a whole completion. */
  object: string;
  /** `object` of an event. */
  chunk: string;
  choice(model: Model, index: number, delta: Delta): object;
  /**
   * What each event that a delta makes says of its choice.
   *
   * @param first whether nothing of this choice was sent before
   */
  pieces(model: Model, index: number, delta: Delta, first: boolean): object[];
}

/** A completion that is ready to be computed. */
export interface Job {
  model: Model;
  plan: Plan;
  wire: Wire;
  config: Config;
  fingerprint: string;
}

function choiceShape(index: number, delta: Delta): ChoiceShape {
  const { text, logprobs, tokenIds, finishReason } = delta;
  return {
    index,
    text,
    logprobs,
    finish_reason: finishReason,
    ...(tokenIds === undefined ? {} : { token_ids: tokenIds }),
  };
}

/** OpenAI's completions. */
export const textWire: Wire = {
  prefix: "cmpl-",
  object: "text_completion",
  chunk: "text_completion",
  choice: (_, index, delta) => choiceShape(index, delta),
  pieces: (_, index, delta) => [choiceShape(index, delta)],
};

function envelope({ model, wire, fingerprint }: Job, object: string) {
  return {
    id: `${wire.prefix}${crypto.randomUUID()}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model: model.manifest.name,
    system_fingerprint: fingerprint,
  };
}

/** The whole completion as one JSON object. */
export async function completeJson(c: RequestContext, job: Job): Promise<Response> {
  const { model, plan, wire } = job;
  const deltas = plan.prompts.map(() => Array.from({ length: plan.candidates }, (): Delta[] => []));
  const controller = new AbortController();
  c.req.raw.signal.addEventListener("abort", () => controller.abort());
  const work = runPlan(model, plan, controller, (prompt, candidate, delta) => {
    deltas[prompt]?.[candidate]?.push(delta);
  });
  // When the client leaves, a handler that nothing keeps alive is never resumed, and would leave its sequences
  // in the scheduler.
  c.executionCtx.waitUntil(work.catch(() => {}));
  const finished = await work;
  const usage = usageOf(plan, finished);
  c.var.log.usage = usage;
  const choices = bestOf(plan, finished).map((choice, index) =>
    wire.choice(model, index, mergeDeltas(deltas[choice.prompt]?.[choice.candidate] ?? [])),
  );
  return c.json({ ...envelope(job, wire.object), choices, usage });
}

/**
 * The completion as server-sent events, one for each token.
 *
 * The response starts with the first event, so that what fails before it still gets its status; a prompt that
 * takes longer than `PING_MS` to read starts it with a comment.
 */
export async function completeStream(c: RequestContext, job: Job): Promise<Response> {
  const { model, plan, wire, config } = job;
  const { request } = plan;
  const log = c.var.log;
  const events = new EventStream();
  const controller = new AbortController();
  const leave = () => {
    log.clientGone = true;
    controller.abort();
  };
  c.req.raw.signal.addEventListener("abort", leave);
  const head = envelope(job, wire.chunk);
  const includeUsage = request.stream_options?.include_usage === true;
  const send = (choices: object[], usage: UsageShape | null) =>
    // OpenAI sends `usage: null` in every chunk but the last, and only if asked for usage.
    events.send({ ...head, choices, ...(includeUsage ? { usage } : {}) });
  let answered = false;
  let generated = 0;
  const begun = new Set<number>();

  const produce = async () => {
    const finished = await runPlan(model, plan, controller, async (prompt, candidate, delta) => {
      generated++;
      const index = prompt * plan.candidates + candidate;
      const pieces = wire.pieces(model, index, delta, !begun.has(index));
      begun.add(index);
      for (const piece of pieces) await send([piece], null);
    });
    log.usage = usageOf(plan, finished);
    if (includeUsage) await send([], log.usage);
    await events.send("[DONE]");
  };
  const work = produce()
    .catch(async (cause) => {
      if (cause instanceof ClientGone || log.clientGone) {
        log.clientGone = true;
        log.completionTokens = generated;
      } else {
        log.error = toHttpError(cause);
        if (!answered) throw cause;
        await events.send(log.error.body()).catch(() => {});
      }
    })
    .finally(() => events.close());
  c.set(
    "tail",
    work.catch(() => {}),
  );
  c.executionCtx.waitUntil(work.catch(() => {}));

  const timer = new AbortController();
  await Promise.race([
    events.started,
    work,
    scheduler.wait(config.PING_MS, { signal: timer.signal }).catch(() => {}),
  ]);
  timer.abort();
  answered = true;
  void events.watch({ pingMs: config.PING_MS, stallMs: config.CLIENT_STALL_MS }, leave);
  return new Response(events.body, {
    headers: {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache, no-transform",
    },
  });
}
