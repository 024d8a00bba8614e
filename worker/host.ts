import { EdgeformerError } from "../src/errors.ts";
import type { Model } from "../src/index.ts";

/** Where the model stands; plain data, for `/health`. */
export type ModelState =
  | { status: "idle" }
  | { status: "loading"; file: string; loaded_bytes: number; total_bytes: number }
  | { status: "ready"; name: string; context: number; memory_bytes: number }
  | { status: "failed"; message: string };

/** Reports bytes as they arrive. Throws if this load was given up in the meantime. */
type Progress = (loadedBytes: number, totalBytes: number, file: string) => void;

export interface LoadRequest {
  /** `signal` fires when this load is given up. */
  load: (onProgress: Progress, signal: AbortSignal) => Promise<Model>;
  /** What can be made ready while requests are served already. */
  prepare?: (model: Model) => Promise<void>;
  /** Without a new byte for this long, a load is given up. */
  stallMs: number;
  /** A load that failed is not tried again for this long. */
  retryMs: number;
  /** Keeps a promise going when the client that asked goes away (`ctx.waitUntil`). */
  keepAlive: (promise: Promise<unknown>) => void;
}

interface Attempt {
  number: number;
  /** What is being read. */
  file: string;
  loadedBytes: number;
  totalBytes: number;
  outcome: "pending" | "ready" | "failed";
  /** Whether nothing of it runs any more, so that its memory is free for the next one. */
  ended: boolean;
  error: unknown;
  failedAt: number;
}

/** How often a waiting request looks whether the model is there. */
const POLL_MS = 10;
/** How long a load waits until one that was given up frees its memory. A request that died never frees it. */
const LET_GO_MS = 1000;

/**
 * The isolate's one model: loaded by the first request that needs it and shared by all.
 *
 * Cloudflare ties a promise or a stream to the request that made it: another request may not await it. So the
 * request that finds no model loads it, and requests that come in the meantime poll plain numbers. Everyone who
 * waited for a failed load gets its error, and so does everyone who comes soon after; then a request tries again. If the loading request dies, or its bytes
 * stop coming, the waiting requests give it up after `stallMs` without progress.
 */
export class ModelHost {
  #model: Model | undefined;
  #attempt: Attempt | undefined;
  #attempts = 0;

  /** Forward passes of the model so far. */
  get steps(): number {
    return this.#model?.steps ?? 0;
  }

  /** Whether anybody waits for a forward pass. */
  get busy(): boolean {
    return this.#model?.busy ?? false;
  }

  get state(): ModelState {
    const attempt = this.#attempt;
    if (this.#model)
      return {
        status: "ready",
        name: this.#model.manifest.name,
        context: this.#model.context,
        memory_bytes: this.#model.memoryBytes,
      };
    if (!attempt) return { status: "idle" };
    if (attempt.outcome === "failed") return { status: "failed", message: reason(attempt.error) };
    return {
      status: "loading",
      file: attempt.file,
      loaded_bytes: attempt.loadedBytes,
      total_bytes: attempt.totalBytes,
    };
  }

  /**
   * The model; loads it first if nobody has.
   *
   * @throws what the load threw; EdgeformerError `io` if it stalled
   */
  async model({ load, prepare, stallMs, retryMs, keepAlive }: LoadRequest): Promise<Model> {
    if (this.#model) return this.#model;
    if (this.#attempt?.outcome === "pending") return this.#follow(this.#attempt, stallMs);
    const previous = this.#attempt;
    if (previous?.outcome === "failed" && Date.now() < previous.failedAt + retryMs) throw previous.error;
    const attempt: Attempt = {
      number: ++this.#attempts,
      file: "model.json",
      loadedBytes: 0,
      totalBytes: 0,
      outcome: "pending",
      ended: false,
      error: undefined,
      failedAt: 0,
    };
    this.#attempt = attempt;
    keepAlive(this.#run(attempt, previous, load, stallMs).then(() => this.#model && prepare?.(this.#model)));
    return this.#follow(attempt, stallMs);
  }

  async #run(
    attempt: Attempt,
    previous: Attempt | undefined,
    load: LoadRequest["load"],
    stallMs: number,
  ): Promise<void> {
    for (let waited = 0; previous && !previous.ended && waited < LET_GO_MS; waited += POLL_MS)
      await scheduler.wait(POLL_MS);
    const started = Date.now();
    // Only this request may touch its streams, so only it can cancel those that hang.
    const givenUp = new AbortController();
    void this.#follow(attempt, stallMs).catch((error) => givenUp.abort(error));
    try {
      const model = await load((loadedBytes, totalBytes, file) => {
        if (attempt.outcome === "failed") throw attempt.error;
        if (file !== attempt.file)
          console.log(
            JSON.stringify({
              event: "model_loading",
              attempt: attempt.number,
              file,
              loaded_bytes: loadedBytes,
              total_bytes: totalBytes,
            }),
          );
        attempt.file = file;
        attempt.loadedBytes = loadedBytes;
        attempt.totalBytes = totalBytes;
      }, givenUp.signal);
      if (attempt.outcome === "failed") return model.dispose();
      this.#model = model;
      attempt.outcome = "ready";
      console.log(
        JSON.stringify({
          event: "model_loaded",
          model: model.manifest.name,
          attempt: attempt.number,
          bytes: attempt.loadedBytes,
          memory_bytes: model.memoryBytes,
          duration_ms: Date.now() - started,
        }),
      );
    } catch (error) {
      fail(attempt, error);
    } finally {
      attempt.ended = true;
    }
  }

  /** Waits for an attempt that this or another request runs. */
  async #follow(attempt: Attempt, stallMs: number): Promise<Model> {
    let idleMs = 0;
    let seen = attempt.loadedBytes;
    while (attempt.outcome === "pending") {
      await scheduler.wait(POLL_MS);
      idleMs = attempt.loadedBytes === seen ? idleMs + POLL_MS : 0;
      seen = attempt.loadedBytes;
      if (idleMs >= stallMs)
        fail(
          attempt,
          new EdgeformerError(
            "io",
            `${attempt.file}: loading stalled at ${seen} of ${attempt.totalBytes} bytes for ${stallMs} ms; try again later`,
          ),
        );
    }
    if (attempt.outcome === "failed" || !this.#model) throw attempt.error;
    return this.#model;
  }
}

function fail(attempt: Attempt, error: unknown): void {
  if (attempt.outcome !== "pending") return;
  attempt.outcome = "failed";
  attempt.error = error;
  attempt.failedAt = Date.now();
  console.error(
    JSON.stringify({ event: "model_load_failed", attempt: attempt.number, error: reason(error) }),
  );
}

function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
