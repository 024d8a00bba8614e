import { REGION_WEIGHTS } from "../../assembly/regions.ts";
import { Engine } from "../engine/engine.ts";
import type { MemoryPlan } from "../engine/memory.ts";
import { EdgeformerError } from "../errors.ts";
import type { ModelLayout } from "../format/layout.ts";
import type { PartInfo } from "../format/manifest.ts";
import { checkAmplitudes, checkFloats } from "./check-weights.ts";
import { verify, wholeDigest } from "./digest.ts";
import type { LoadOptions, StreamingDigest } from "./load-options.ts";
import { OpenFile } from "./open-file.ts";

/** Parts whose streams are open at once: the one being read, and the next, whose first bytes are on their way. */
const OPEN_PARTS = 2;

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
      let verified = Promise.resolve();
      for (const part of this.#parts) {
        this.#openAhead();
        const digest = await this.#read(part, this.#open[0]!);
        this.#open.shift()!.close();
        await verified;
        // The next part is read meanwhile. Should that fail first, nobody asks for this any more.
        verified = verify(part, digest);
        verified.catch(() => {});
      }
      await verified;
    } finally {
      for (const file of this.#open) file.close();
    }
  }

  #openAhead(): void {
    const { source, signal } = this.#options;
    while (this.#open.length < OPEN_PARTS && this.#opened < this.#parts.length)
      this.#open.push(new OpenFile(source, this.#parts[this.#opened++]!.file, signal));
  }

  /** Brings one part to its place, and hashes it there while the next bytes are on their way. */
  async #read(part: PartInfo, file: OpenFile): Promise<StreamingDigest> {
    const { digest: createDigest, onProgress } = this.#options;
    const start = this.#loaded;
    const end = start + part.bytes;
    const digest = createDigest?.() ?? wholeDigest(this.#engine.weights(start, end));
    onProgress?.(this.#loaded, this.#total, part.file);
    for (let chunk = await file.next(); chunk !== undefined; ) {
      const from = this.#loaded;
      if (from + chunk.length > end)
        throw new EdgeformerError("invalid_model", `${part.file}: longer than its ${part.bytes} bytes`);
      this.#engine.writeWeights(from, chunk);
      this.#loaded += chunk.length;
      const following = file.next();
      // Should something else fail first, nobody asks for it any more.
      following.catch(() => {});
      await digest.update(this.#engine.weights(from, this.#loaded));
      onProgress?.(this.#loaded, this.#total, part.file);
      chunk = await following;
    }
    if (this.#loaded < end)
      throw new EdgeformerError(
        "invalid_model",
        `${part.file}: ends after ${this.#loaded - start} of its ${part.bytes} bytes`,
      );
    return digest;
  }
}

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
function takeEngine(module: WebAssembly.Module, model: ModelLayout, plan: MemoryPlan, key: string): Engine {
  const spare = spares.get(module);
  spares.delete(module);
  const engine = spare?.key === key ? spare.engine.deref() : undefined;
  return engine ?? new Engine(module, model, plan);
}

/** The weights that an engine is to hold: of a whole model, or of one stage of a chain. */
export interface WeightFiles {
  model: ModelLayout;
  plan: MemoryPlan;
  /** The image of `model`, in order. */
  parts: readonly PartInfo[];
}

/**
 * An engine with its weights, read and verified.
 *
 * @throws EdgeformerError `invalid_model`, `unsupported_model`, `unsupported_runtime`, `io`, `aborted`, or
 *   `invalid_option`
 */
export async function loadWeights(
  options: LoadOptions,
  { model, plan, parts }: WeightFiles,
): Promise<Engine> {
  const { module } = options;
  const key = JSON.stringify([model.recipe, model.tensors, plan]);
  const engine = takeEngine(module, model, plan, key);
  try {
    await new PartsLoader(engine, options, parts).load();
    checkFloats(engine, model);
    checkAmplitudes(engine, model);
  } catch (error) {
    // Workers have it from the compatibility date 2025-05-05 on.
    if (typeof WeakRef === "function") spares.set(module, { key, engine: new WeakRef(engine) });
    throw error;
  }
  return engine;
}
