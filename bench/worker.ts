// The subject inside workerd: POST {shape, task} → {result}. Models come from the host through a service binding.
import { EdgeformerError } from "../src/errors.ts";
import type { ModelSource } from "../src/loading/load-options.ts";
import engine from "./engine.wasm";
import readers from "./readers.wasm";
import { bytesPerStep, SHAPES } from "./shapes.ts";
import { Subject, type Task } from "./subject.ts";

interface Environment {
  MODELS: { fetch(url: string): Promise<Response> };
}

const subjects = new Map<string, Subject>();

function source(env: Environment, name: string): ModelSource {
  return {
    name,
    async open(file) {
      const response = await env.MODELS.fetch(`http://models/${name}/${file}`);
      if (!response.ok || response.body === null)
        throw new EdgeformerError("io", `${file}: the host answered ${response.status}`);
      return response.body as unknown as AsyncIterable<Uint8Array>;
    },
  };
}

export default {
  async fetch(request: Request, env: Environment): Promise<Response> {
    const { shape, task } = (await request.json()) as { shape: string; task: Task };
    let subject = subjects.get(shape);
    if (subject === undefined) {
      subject = await Subject.create({
        engine,
        readers,
        source: source(env, shape),
        readBytes: bytesPerStep(SHAPES[shape]!),
        pause: () => Promise.resolve(),
      });
      subjects.set(shape, subject);
    }
    return Response.json({ result: await subject.run(task) });
  },
};
