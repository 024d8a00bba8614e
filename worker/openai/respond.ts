import type { Model, SharingOptions } from "../../src/index.ts";
import type { Config } from "../config.ts";
import type { RequestContext } from "../context.ts";
import { invalidField, toHttpError } from "../errors.ts";
import { AnswerStream, ClientGone } from "../events.ts";
import { sendJson } from "../send-json.ts";
import { answerBytes } from "./answer-bytes.ts";
import type { Plan } from "./completions-plan.ts";
import { bestOf, type FinishedChoice, runPlan } from "./run.ts";
import type { UsageShape } from "./wire/answers.ts";
import { appendDelta, emptyDelta } from "./wire/choice.ts";
import type { Wording } from "./wording.ts";

/** A completion that is ready to be computed. */
export interface Job {
  model: Model;
  plan: Plan;
  wording: Wording;
  config: Config;
  fingerprint: string;
  /** Whose work it is, and with whom it shares the cache. */
  sharing: SharingOptions;
}

/** After this time an answer's memory counts for nothing. */
const LONGEST_ANSWER_MS = 15 * 60_000;
/** How long an answer waits for its memory. */
const PATIENCE_MS = 1_000;

/**
 * Holds the memory that the answer can take.
 *
 * @throws HttpError 400 where it could never have so much, 503 where others have it now
 */
async function holdMemory({ var: { lease } }: RequestContext, plan: Plan): Promise<void> {
  const bytes = answerBytes(plan);
  if (bytes > lease.most)
    throw invalidField(
      plan.request.logprobs === undefined ? "max_tokens" : "logprobs",
      `The answer could take ${bytes} bytes of memory, more than the ${lease.most} that this server has for one request: ask for fewer tokens or log-probabilities, stream it, or split it.`,
    );
  await lease.wait(bytes, LONGEST_ANSWER_MS, PATIENCE_MS);
}

/** Prompts are counted once, whatever `n`; their cached tokens as the first candidate found them. */
function usageOf(plan: Plan, finished: FinishedChoice[]): UsageShape {
  const promptTokens = plan.prompts.reduce((sum, prompt) => sum + prompt.ids.length, 0);
  const completionTokens = finished.reduce((sum, choice) => sum + choice.usage.completionTokens, 0);
  const cachedTokens = finished.reduce(
    (sum, choice) => sum + (choice.candidate === 0 ? choice.usage.cachedTokens : 0),
    0,
  );
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: cachedTokens },
  };
}

function envelope({ model, wording, fingerprint }: Job, object: string) {
  return {
    id: `${wording.prefix}${crypto.randomUUID()}`,
    object,
    created: Math.floor(Date.now() / 1000),
    model: model.manifest.name,
    system_fingerprint: fingerprint,
  };
}

/** Calls `leave` when the client has gone: at once, if it went while its request was read. */
function whenGone({ req: { raw } }: RequestContext, leave: () => void): void {
  if (raw.signal.aborted) leave();
  else raw.signal.addEventListener("abort", leave);
}

/**
 * The whole completion as one JSON object.
 *
 * Where it takes longer than `PING_MS`, the response starts with white space, which JSON allows: a client that has gone is
 * noticed only by writing to it, and its work is stopped then. As long as a request waits for its turn nothing is
 * written, so that being refused still has a status of its own.
 */
async function completeJson(c: RequestContext, job: Job): Promise<Response> {
  const { model, plan, wording, config } = job;
  const log = c.var.log;
  const choices = plan.prompts.map(() => Array.from({ length: plan.candidates }, emptyDelta));
  const controller = new AbortController();
  const leave = () => {
    log.clientGone = true;
    controller.abort();
  };
  whenGone(c, leave);
  let begin!: () => void;
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  let generated = 0;

  const produce = async () => {
    const finished = await runPlan(model, plan, job.sharing, controller, (prompt, candidate, delta) => {
      generated++;
      begin();
      appendDelta(choices[prompt]![candidate]!, delta);
    });
    const usage = usageOf(plan, finished);
    log.usage = usage;
    const best = bestOf(plan, finished).map(({ prompt, candidate }, index) =>
      wording.choice(model, index, choices[prompt]![candidate]!),
    );
    return { ...envelope(job, wording.object), choices: best, usage };
  };
  const work = produce();
  // When the client leaves, workerd does not resume the handler unless something keeps it alive, and its sequences
  // would stay in the scheduler.
  c.executionCtx.waitUntil(work.catch(() => {}));

  const timer = new AbortController();
  const patience = scheduler.wait(config.PING_MS, { signal: timer.signal }).catch(() => {});
  const whole = await Promise.race([work, Promise.all([begun, patience]).then(() => undefined)]);
  timer.abort();
  if (whole) return sendJson(c, whole, config);

  const answer = new AnswerStream(" ");
  c.set(
    "tail",
    work
      .then((json) => answer.write(JSON.stringify(json)))
      .then(
        () => answer.close(),
        (cause) => {
          if (cause instanceof ClientGone || log.clientGone) {
            log.clientGone = true;
            log.completionTokens = generated;
          } else log.error = toHttpError(cause);
          return answer.break(cause);
        },
      ),
  );
  void answer.watch({ pingMs: config.PING_MS, stallMs: config.CLIENT_STALL_MS }, leave);
  return new Response(answer.body, { headers: { "content-type": "application/json" } });
}

/**
 * The completion as server-sent events, one for each token.
 *
 * The response starts with the first event, so that a failure before it still gets its own status. Where reading the
 * prompt takes longer than `PING_MS`, a comment starts the response instead.
 */
async function completeStream(c: RequestContext, job: Job): Promise<Response> {
  const { model, plan, wording, config } = job;
  const { request } = plan;
  const log = c.var.log;
  const events = new AnswerStream(": ping\n\n");
  const controller = new AbortController();
  const leave = () => {
    log.clientGone = true;
    controller.abort();
  };
  whenGone(c, leave);
  const head = envelope(job, wording.chunk);
  const includeUsage = request.stream_options?.include_usage === true;
  const send = (choices: object[], usage: UsageShape | null) =>
    // As OpenAI does: `usage` only if the request asks for it, and null in every chunk but the last.
    events.send({ ...head, choices, ...(includeUsage ? { usage } : {}) });
  let answered = false;
  let generated = 0;
  const begun = new Set<number>();

  const produce = async () => {
    const finished = await runPlan(model, plan, job.sharing, controller, async (prompt, candidate, delta) => {
      generated++;
      const index = prompt * plan.candidates + candidate;
      const pieces = wording.pieces(model, index, delta, !begun.has(index));
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

/** The completion, as the request wants it. */
export async function complete(c: RequestContext, job: Job): Promise<Response> {
  const { stream } = job.plan.request;
  await holdMemory(c, job.plan);
  c.var.log.stream = stream;
  return stream ? completeStream(c, job) : completeJson(c, job);
}
