import type { Context } from "hono";
import type { Model } from "../src/index.ts";
import type { Variables } from "./app.ts";
import { type Delta, mergeDeltas } from "./choice.ts";
import { bestOf, type Plan, runPlan, usageOf } from "./completions.ts";
import type { Config, Env } from "./config.ts";
import { toHttpError } from "./errors.ts";
import { ClientGone, EventStream } from "./events.ts";
import type { ChoiceShape, CompletionShape } from "./schema.ts";

type RequestContext = Context<{ Bindings: Env; Variables: Variables }>;

/** A completion that is ready to be computed. */
export interface Job {
  model: Model;
  plan: Plan;
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

function envelope(job: Job): Omit<CompletionShape, "choices" | "usage"> {
  return {
    id: `cmpl-${crypto.randomUUID()}`,
    object: "text_completion",
    created: Math.floor(Date.now() / 1000),
    model: job.model.manifest.name,
    system_fingerprint: job.fingerprint,
  };
}

/** The whole completion as one JSON object. */
export async function completeJson(c: RequestContext, job: Job): Promise<Response> {
  const { model, plan } = job;
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
    choiceShape(index, mergeDeltas(deltas[choice.prompt]?.[choice.candidate] ?? [])),
  );
  return c.json({ ...envelope(job), choices, usage } satisfies CompletionShape);
}

/**
 * The completion as server-sent events, one for each token.
 *
 * The response starts with the first event, so that what fails before it still gets its status; a prompt that
 * takes longer than `PING_MS` to read starts it with a comment.
 */
export async function completeStream(c: RequestContext, job: Job): Promise<Response> {
  const { model, plan, config } = job;
  const { request } = plan;
  const log = c.var.log;
  const events = new EventStream();
  const controller = new AbortController();
  const leave = () => {
    log.clientGone = true;
    controller.abort();
  };
  c.req.raw.signal.addEventListener("abort", leave);
  const head = envelope(job);
  const includeUsage = request.stream_options?.include_usage === true;
  const send = (choices: ChoiceShape[], usage: CompletionShape["usage"]) =>
    // OpenAI sends `usage: null` in every chunk but the last, and only if asked for usage.
    events.send({ ...head, choices, ...(includeUsage ? { usage } : {}) });
  let answered = false;
  let generated = 0;

  const produce = async () => {
    const finished = await runPlan(model, plan, controller, async (prompt, candidate, delta) => {
      generated++;
      await send([choiceShape(prompt * plan.candidates + candidate, delta)], null);
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
