// The scheduler inside workerd, without HTTP around it: POST a task → the results of its batches.

import type { Recipe } from "../../src/architectures/recipe.ts";
import { Engine } from "../../src/engine/engine.ts";
import { planMemory } from "../../src/engine/memory.ts";
import { EdgeformerError } from "../../src/errors.ts";
import { loadManifest } from "../../src/loading/load.ts";
import { resolveOptions } from "../../src/options.ts";
import { Scheduler } from "../../src/serving/scheduler.ts";
import { Generation, type Sequence } from "../../src/serving/sequence.ts";
import engineModule from "./engine.wasm";
import type { BatchResult, Job, Task } from "./task.ts";

interface Environment {
  MODELS: { fetch(url: string): Promise<Response> };
}

class CountingEngine extends Engine {
  rows = 0;

  override forward(rows: number, wanted: number): void {
    this.rows += rows;
    super.forward(rows, wanted);
  }
}

interface Loaded {
  engine: CountingEngine;
  recipe: Recipe;
}

/** Generates a text that is known beforehand, with all the work of drawing it. */
class Replay implements Sequence {
  readonly ids: number[];
  readonly capacity: number;
  readonly wantedFrom: number;
  computed = 0;
  cachedTokens = 0;
  error: EdgeformerError | undefined;
  finished = false;
  readonly #all: number[];

  constructor(
    prompt: number[],
    text: number[],
    readonly seed: number,
  ) {
    this.ids = [...prompt];
    this.wantedFrom = prompt.length - 1;
    this.#all = [...prompt, ...text];
    this.capacity = this.#all.length - 1;
  }

  consume(engine: Engine, slot: number, sequence: number): void {
    engine.sample(slot, sequence, 0, 0, 1, 0);
    this.ids.push(this.#all[this.ids.length]!);
    this.finished = this.ids.length === this.#all.length;
  }
}

const loading = new Map<string, Promise<Loaded>>();

async function load(env: Environment, name: string): Promise<Loaded> {
  const source = {
    name,
    async open(file: string) {
      const response = await env.MODELS.fetch(`http://models/${name}/${file}`);
      if (!response.ok || response.body === null)
        throw new EdgeformerError("io", `${file}: the host answered ${response.status}`);
      return response.body as unknown as AsyncIterable<Uint8Array>;
    },
  };
  const manifest = await loadManifest(source);
  const engine = new CountingEngine(engineModule, manifest, planMemory(manifest));
  let offset = 0;
  for (const part of manifest.parts)
    for await (const chunk of await source.open(part.file)) {
      engine.writeWeights(offset, chunk);
      offset += chunk.length;
    }
  return { engine, recipe: manifest.recipe };
}

function sequenceOf({ prompt, text, maxTokens, temperature, seed }: Job, recipe: Recipe): Sequence {
  if (text !== undefined) return new Replay(prompt, text, seed);
  const options = { maxTokens, temperature, seed, ignoreEos: true };
  return new Generation(prompt, resolveOptions(options, recipe.vocabSize), recipe.eosTokenIds, undefined);
}

function run(jobs: Job[], scheduler: Scheduler, { engine, recipe }: Loaded): BatchResult {
  const sequences = jobs.map((job) => sequenceOf(job, recipe));
  const stepsBefore = scheduler.steps;
  const rowsBefore = engine.rows;
  const start = performance.now();
  let firstTokenMs = Number.NaN;
  for (const sequence of sequences) scheduler.add(sequence);
  while (sequences.some(({ finished }) => !finished)) {
    scheduler.step();
    if (Number.isNaN(firstTokenMs) && sequences.some(({ ids, wantedFrom }) => ids.length > wantedFrom + 1))
      firstTokenMs = performance.now() - start;
  }
  return {
    ms: performance.now() - start,
    firstTokenMs,
    steps: scheduler.steps - stepsBefore,
    rows: engine.rows - rowsBefore,
    cachedTokens: sequences.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0),
    ids: sequences.map(({ ids, wantedFrom }) => ids.slice(wantedFrom + 1)),
  };
}

export default {
  async fetch(request: Request, env: Environment): Promise<Response> {
    const { shape, promptLookup, batches } = (await request.json()) as Task;
    if (!loading.has(shape)) loading.set(shape, load(env, shape));
    const loaded = await loading.get(shape)!;
    const scheduler = new Scheduler(loaded.engine, { promptLookup });
    return Response.json(batches.map((jobs) => run(jobs, scheduler, loaded)));
  },
};
