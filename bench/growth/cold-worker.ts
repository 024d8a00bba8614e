// A Worker that has done nothing yet: from its first request to the first token, with the time of each phase.
import { ChatTemplate, encodeChat } from "../../src/chat.ts";
import { planMemory } from "../../src/engine/memory.ts";
import { loadManifest, loadTable } from "../../src/loading/load.ts";
import type { ModelSource, StreamingDigest } from "../../src/loading/load-options.ts";
import { fetchSource } from "../../src/loading/sources.ts";
import { loadWeights } from "../../src/loading/weights.ts";
import { streamingDigest } from "../../worker/digest.ts";
import { Runner } from "../runner.ts";
import type { ColdAnswer } from "./cold-results.ts";
import engine from "./engine.wasm";

interface Environment {
  MODEL: { fetch(url: string): Promise<Response> };
}

const CONTEXT = 512;
const MESSAGES = [{ role: "user", content: "What is the capital of France?" }];
const STORY = "Once upon a time";

/** What passes between two marks is added to the phase that the second one ends. */
class Phases {
  readonly ms: Record<string, number> = {};
  #last = performance.now();

  end(phase: string): void {
    const now = performance.now();
    this.ms[phase] = (this.ms[phase] ?? 0) + now - this.#last;
    this.#last = now;
  }
}

/** A source whose files and chunks are marked when they come. */
function markedSource(source: ModelSource, onOpen: () => void, onChunk: () => void): ModelSource {
  return {
    name: source.name,
    async open(file, signal) {
      onOpen();
      const chunks = (await source.open(file, signal))[Symbol.asyncIterator]();
      return {
        [Symbol.asyncIterator]: () => ({
          next: async () => {
            const result = await chunks.next();
            onChunk();
            return result;
          },
          return: async () => (await chunks.return?.()) ?? { done: true, value: undefined },
        }),
      };
    },
  };
}

function markedDigest(phases: Phases): StreamingDigest {
  const digest = streamingDigest();
  return {
    async update(bytes) {
      phases.end("copy into memory");
      await digest.update(bytes);
      phases.end("SHA-256");
    },
    async digest() {
      const value = await digest.digest();
      phases.end("SHA-256");
      return value;
    },
  };
}

async function firstToken(env: Environment): Promise<ColdAnswer> {
  const source = fetchSource("http://model/", (url) => env.MODEL.fetch(url));
  const phases = new Phases();
  const manifest = await loadManifest(source);
  phases.end("model.json");
  const tokenizer = (await loadTable({ source, digest: streamingDigest }, manifest))!;
  phases.end("tokenizer");
  const plan = planMemory(manifest, { context: CONTEXT, maxSequences: 1 });
  let opened = false;
  const marked = markedSource(
    source,
    () => {
      if (!opened) phases.end("memory");
      opened = true;
    },
    () => phases.end("bytes of the parts"),
  );
  const options = { module: engine, source: marked, digest: () => markedDigest(phases) };
  const loaded = await loadWeights(options, { model: manifest, plan, parts: manifest.parts });
  phases.end("checks");
  const template = manifest.chat_template;
  const ids =
    template === undefined
      ? tokenizer.encode(STORY)
      : encodeChat(tokenizer, new ChatTemplate(template), {
          messages: MESSAGES,
          add_generation_prompt: true,
        });
  phases.end("template and tokens");
  const runner = new Runner(loaded, manifest);
  runner.read(ids, 0);
  phases.end("prompt");
  loaded.head(0, 1);
  const id = loaded.sample(0, 0, 0, 0, 1, 0);
  phases.end("head and draw");
  return {
    phases: phases.ms,
    bytes: manifest.parts.reduce((sum, { bytes }) => sum + bytes, 0),
    tokens: ids.length,
    text: tokenizer.decode([id]),
  };
}

export default {
  async fetch(_: Request, env: Environment): Promise<Response> {
    return Response.json(await firstToken(env));
  },
};
