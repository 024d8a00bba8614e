// The scheduler inside workerd, without HTTP around it: POST a task → the results of its batches.
import { Engine } from "../../src/engine/engine.ts";
import { planMemory } from "../../src/engine/memory.ts";
import { EdgeformerError } from "../../src/errors.ts";
import { loadManifest } from "../../src/loading/load.ts";
import { resolveOptions } from "../../src/options.ts";
import { EngineStage } from "../../src/serving/engine-stage.ts";
import { Scheduler } from "../../src/serving/scheduler.ts";
import { Generation, type Sequence } from "../../src/serving/sequence.ts";
import type { Batch, Draw, Outcome, Outcomes } from "../../src/serving/stage.ts";
import { step } from "../../src/serving/step.ts";
import { fillWeights } from "../runner.ts";
import engineModule from "./engine.wasm";
import type { BatchResult, Job, Task } from "./task.ts";

interface Environment {
  MODELS: { fetch(url: string): Promise<Response> };
}

interface Loaded {
  stage: CountingStage;
  vocabSize: number;
}

class CountingStage extends EngineStage {
  rows = 0;

  override run(batch: Batch): Outcomes {
    this.rows += batch.rows.length;
    return super.run(batch);
  }
}

/** Greedy, with nothing adjusted and nothing reported. */
const GREEDY: Draw = {
  kind: "draw",
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  penalties: undefined,
  biases: [],
  logprobs: undefined,
};

/** Generates a text that is known beforehand, with all the work of drawing it: a bias makes each draw the known one. */
class Replay implements Sequence {
  readonly ids: number[];
  readonly capacity: number;
  readonly wantedFrom: number;
  computed = 0;
  cachedTokens = 0;
  error: Error | undefined;
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

  admits(guesses: readonly number[]): number {
    return guesses.length;
  }

  read(position: number): Draw {
    return { ...GREEDY, biases: [[this.#all[position + 1]!, 1e30]] };
  }

  accept({ id }: Outcome): void {
    this.ids.push(id);
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
  const engine = new Engine(engineModule, manifest, planMemory(manifest));
  await fillWeights(engine, manifest, source);
  return { stage: new CountingStage(engine), vocabSize: manifest.recipe.vocabSize };
}

function sequenceOf({ prompt, text, maxTokens, temperature, seed }: Job, vocabSize: number): Sequence {
  if (text !== undefined) return new Replay(prompt, text, seed);
  const options = { maxTokens, temperature, seed, ignoreEos: true };
  return new Generation(prompt, resolveOptions(options, vocabSize), [], undefined);
}

function run(jobs: Job[], scheduler: Scheduler, { stage, vocabSize }: Loaded): BatchResult {
  const sequences = jobs.map((job) => sequenceOf(job, vocabSize));
  const prompts = sequences.map(({ ids }) => ids.length);
  const stepsBefore = scheduler.steps;
  const rowsBefore = stage.rows;
  const start = performance.now();
  let firstTokenMs = Number.NaN;
  for (const sequence of sequences) scheduler.add(sequence);
  while (sequences.some(({ finished }) => !finished)) {
    step(scheduler, stage);
    if (Number.isNaN(firstTokenMs) && sequences.some(({ ids }, i) => ids.length > prompts[i]!))
      firstTokenMs = performance.now() - start;
  }
  return {
    ms: performance.now() - start,
    firstTokenMs,
    steps: scheduler.steps - stepsBefore,
    rows: stage.rows - rowsBefore,
    cachedTokens: sequences.reduce((sum, { cachedTokens }) => sum + cachedTokens, 0),
    ids: sequences.map(({ ids }, i) => ids.slice(prompts[i]!)),
  };
}

export default {
  async fetch(request: Request, env: Environment): Promise<Response> {
    const { shape, promptLookup, batches } = (await request.json()) as Task;
    if (!loading.has(shape)) loading.set(shape, load(env, shape));
    const loaded = await loading.get(shape)!;
    const scheduler = new Scheduler(loaded.stage.engine.plan, { promptLookup });
    return Response.json(batches.map((jobs) => run(jobs, scheduler, loaded)));
  },
};
