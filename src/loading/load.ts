import { REGION_WEIGHTS } from "../../assembly/regions.ts";
import { Engine, requireSimd } from "../engine/engine.ts";
import { type MemoryPlan, planMemory } from "../engine/memory.ts";
import { EdgeformerError } from "../errors.ts";
import { syntaxMessage } from "../excerpt.ts";
import {
  type FileInfo,
  MAX_MANIFEST_BYTES,
  type Manifest,
  type PartInfo,
  parseManifest,
} from "../format/manifest.ts";
import { toHex } from "../hex.ts";
import { Model } from "../model.ts";
import { EngineStage } from "../serving/engine-stage.ts";
import { MAX_GUESSES } from "../serving/prompt-lookup.ts";
import { Scheduler } from "../serving/scheduler.ts";
import { LocalStepper } from "../serving/step.ts";
import { ChatTokenizer } from "../text/chat-tokenizer.ts";
import { parseTokenizerTable } from "../text/tokenizer.ts";
import { checkAmplitudes, checkFloats } from "./check-weights.ts";
import type { LoadOptions, ModelSource, StreamingDigest } from "./load-options.ts";

/** Parts whose streams are open at once: the one being read, and the next, whose first bytes are on their way. */
const OPEN_PARTS = 2;

/** A file of the model directory that is being opened or read. Every failure names it. */
class OpenFile {
  readonly file: string;
  readonly #source: ModelSource;
  readonly #signal: AbortSignal | undefined;
  readonly #iterator: Promise<AsyncIterator<Uint8Array>>;

  constructor(source: ModelSource, file: string, signal: AbortSignal | undefined) {
    this.file = file;
    this.#source = source;
    this.#signal = signal;
    this.#iterator = this.#open();
    // Whoever reads the file is told; a file that nobody gets to read has nobody to tell.
    this.#iterator.catch(() => {});
  }

  async #open(): Promise<AsyncIterator<Uint8Array>> {
    const chunks = await this.#source.open(this.file, this.#signal);
    return chunks[Symbol.asyncIterator]();
  }

  async *chunks(): AsyncGenerator<Uint8Array> {
    try {
      const iterator = await this.#orAborted(this.#iterator);
      for (;;) {
        const { done, value } = await this.#orAborted(iterator.next());
        if (done) return;
        yield value;
      }
    } catch (cause) {
      if (cause instanceof EdgeformerError) throw cause;
      throw new EdgeformerError(
        "io",
        `${this.file}: reading ${this.#source.name} failed (${String(cause)}); try again`,
        { cause },
      );
    }
  }

  /** Lets go of the stream, wherever it is. Not awaited: a stream that hangs may never answer. */
  close(): void {
    this.#iterator.then((iterator) => iterator.return?.()).catch(() => {});
  }

  /** What the promise gives, or the error of an abort: not every source listens to its signal. */
  #orAborted<T>(promise: Promise<T>): Promise<T> {
    const signal = this.#signal;
    if (signal === undefined) return promise;
    return new Promise((resolve, reject) => {
      const onAbort = () =>
        reject(new EdgeformerError("aborted", `${this.file}: loading was aborted`, { cause: signal.reason }));
      if (signal.aborted) return onAbort();
      signal.addEventListener("abort", onAbort, { once: true });
      promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", onAbort));
    });
  }
}

/** A whole file, which must not be longer than `maximum` bytes. */
async function readWhole(
  source: ModelSource,
  name: string,
  maximum: number,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const file = new OpenFile(source, name, signal);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    for await (const chunk of file.chunks()) {
      length += chunk.length;
      if (length > maximum)
        throw new EdgeformerError(
          "invalid_model",
          `${name}: longer than the ${maximum} bytes that it may have`,
        );
      // A source may fill one buffer again and again.
      chunks.push(chunk.slice());
    }
  } finally {
    file.close();
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes;
}

/** Reads and checks model.json. */
export async function loadManifest(source: ModelSource, signal?: AbortSignal): Promise<Manifest> {
  const bytes = await readWhole(source, "model.json", MAX_MANIFEST_BYTES, signal);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw new EdgeformerError(
      "invalid_model",
      `model.json: not valid JSON (${syntaxMessage(cause as SyntaxError)})`,
      {
        cause,
      },
    );
  }
  return parseManifest(value);
}

/** Reads and verifies the tokenizer that a manifest names. */
async function readTable(
  source: ModelSource,
  { file, bytes: expected, sha256 }: FileInfo,
  signal?: AbortSignal,
): Promise<Uint8Array> {
  const bytes = await readWhole(source, file, expected, signal);
  if (bytes.length < expected)
    throw new EdgeformerError(
      "invalid_model",
      `${file}: ends after ${bytes.length} of its ${expected} bytes`,
    );
  if (toHex(new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))) !== sha256)
    throw new EdgeformerError(
      "invalid_model",
      `${file}: the SHA-256 is not the one in model.json; the file is damaged, copy or convert it again`,
    );
  return bytes;
}

/**
 * The tokenizer of a model directory, without its weights.
 *
 * @throws EdgeformerError `invalid_model`, `io`, `aborted`; `unsupported_model` for a model that has none
 */
export async function loadTokenizer(source: ModelSource, signal?: AbortSignal): Promise<ChatTokenizer> {
  const { tokenizer, name, chat_template } = await loadManifest(source, signal);
  if (tokenizer === null)
    throw new EdgeformerError("unsupported_model", `${name} has no tokenizer: it takes and gives token ids`);
  return new ChatTokenizer(await readTable(source, tokenizer, signal), chat_template);
}

interface PartDigest {
  update(bytes: Uint8Array): void | Promise<void>;
  /** The SHA-256 in hexadecimal digits. Called once, last. */
  hex(): string | Promise<string>;
}

function platformDigest(digest: StreamingDigest): PartDigest {
  return {
    update: (bytes) => digest.update(bytes),
    hex: async () => toHex(new Uint8Array(await digest.digest())),
  };
}

/** The engine's own SHA-256, which reads the image where it lies. */
class EngineDigest implements PartDigest {
  readonly #engine: Engine;
  readonly #start: number;
  #received: number;
  #hashed: number;

  /** @param start the part's first byte within the image, a multiple of 64 */
  constructor(engine: Engine, start: number) {
    this.#engine = engine;
    this.#start = start;
    this.#received = start;
    this.#hashed = start;
    engine.hashStart();
  }

  update(bytes: Uint8Array): void {
    this.#received += bytes.length;
    const whole = this.#received - ((this.#received - this.#start) % 64);
    this.#engine.hashBlocks(this.#hashed, whole);
    this.#hashed = whole;
  }

  hex(): string {
    return this.#engine.hashFinish(this.#hashed, this.#received, this.#received - this.#start);
  }
}

/** Reads the parts one after another into their places, the next one's stream open before the last has ended. */
class PartsLoader {
  readonly #engine: Engine;
  readonly #options: LoadOptions;
  readonly #parts: readonly PartInfo[];
  readonly #total: number;
  #loaded = 0;
  #opened = 0;
  readonly #open: OpenFile[] = [];

  constructor(engine: Engine, options: LoadOptions, parts: readonly PartInfo[]) {
    this.#engine = engine;
    this.#options = options;
    this.#parts = parts;
    this.#total = engine.plan.sizes[REGION_WEIGHTS]!;
  }

  async load(): Promise<void> {
    try {
      for (const part of this.#parts) {
        this.#openAhead();
        await this.#read(part, this.#open[0]!);
        this.#open.shift()!.close();
      }
    } finally {
      for (const file of this.#open) file.close();
    }
  }

  #openAhead(): void {
    const { source, signal } = this.#options;
    while (this.#open.length < OPEN_PARTS && this.#opened < this.#parts.length)
      this.#open.push(new OpenFile(source, this.#parts[this.#opened++]!.file, signal));
  }

  /** Copies one part to its place as its bytes arrive, hashing behind them. */
  async #read(part: PartInfo, file: OpenFile): Promise<void> {
    const { digest: createDigest, onProgress } = this.#options;
    const start = this.#loaded;
    const end = start + part.bytes;
    const digest = createDigest ? platformDigest(createDigest()) : new EngineDigest(this.#engine, start);
    onProgress?.(this.#loaded, this.#total, part.file);
    for await (const chunk of file.chunks()) {
      if (this.#loaded + chunk.length > end)
        throw new EdgeformerError("invalid_model", `${part.file}: longer than its ${part.bytes} bytes`);
      this.#engine.writeWeights(this.#loaded, chunk);
      this.#loaded += chunk.length;
      await digest.update(chunk);
      onProgress?.(this.#loaded, this.#total, part.file);
    }
    if (this.#loaded < end)
      throw new EdgeformerError(
        "invalid_model",
        `${part.file}: ends after ${this.#loaded - start} of its ${part.bytes} bytes`,
      );
    if ((await digest.hex()) !== part.sha256)
      throw new EdgeformerError(
        "invalid_model",
        `${part.file}: the SHA-256 is not the one in model.json; the file is damaged, copy or convert it again`,
      );
  }
}

const zeroTimeout = () => new Promise<void>((resolve) => setTimeout(resolve, 0));

interface Spare {
  /** What the engine was made for. */
  key: string;
  engine: WeakRef<Engine>;
}

/**
 * Engines whose load failed, for the next try. Nobody collects WebAssembly memory in time: in workerd six failed
 * loads of DistilGPT-2 were still there at the seventh, 640 MB in an isolate of 128.
 */
const spares = new WeakMap<WebAssembly.Module, Spare>();

/** The engine of a failed load of the same model, or a new one. A load overwrites and verifies every weight. */
function takeEngine(module: WebAssembly.Module, manifest: Manifest, plan: MemoryPlan, key: string): Engine {
  const spare = spares.get(module);
  spares.delete(module);
  const engine = spare?.key === key ? spare.engine.deref() : undefined;
  return engine ?? new Engine(module, manifest, plan);
}

/**
 * Loads a model directory into an engine of its own. Peak memory is the arena and a chunk of each open part; nothing can
 * be generated before the last byte is verified.
 *
 * @throws EdgeformerError `invalid_model`, `unsupported_model`, `unsupported_runtime`, `io`, `aborted`, or
 *   `invalid_option`
 */
export async function loadModel(options: LoadOptions): Promise<Model> {
  const { module, source, signal, promptLookup = 1 } = options;
  requireSimd();
  if (!(module instanceof WebAssembly.Module))
    throw new EdgeformerError(
      "invalid_option",
      "module must be a WebAssembly.Module: the compiled engine.wasm",
      {
        param: "module",
      },
    );
  if (!Number.isInteger(promptLookup) || promptLookup < 0 || promptLookup > MAX_GUESSES)
    throw new EdgeformerError(
      "invalid_option",
      `promptLookup must be an integer from 0 to ${MAX_GUESSES}: tokens to guess per step`,
      { param: "promptLookup" },
    );
  const manifest = await loadManifest(source, signal);
  const plan = planMemory(manifest, options);
  const tokenizer =
    manifest.tokenizer === null
      ? undefined
      : parseTokenizerTable(await readTable(source, manifest.tokenizer, signal));
  const key = JSON.stringify([manifest.config, manifest.tensors, plan]);
  const engine = takeEngine(module, manifest, plan, key);
  try {
    await new PartsLoader(engine, options, manifest.parts).load();
    checkFloats(engine, manifest);
    checkAmplitudes(engine, manifest);
  } catch (error) {
    // Workers have it from the compatibility date 2025-05-05 on.
    if (typeof WeakRef === "function") spares.set(module, { key, engine: new WeakRef(engine) });
    throw error;
  }
  const scheduler = new Scheduler(engine.plan, options);
  const stepper = new LocalStepper(scheduler, new EngineStage(engine), options.pause ?? zeroTimeout);
  return new Model(manifest, { engine, stepper }, tokenizer, options.fastForward);
}
