// The subject inside workerd: POST {shape, task} → {result}. Models come from disk through a service binding.
import { loadModel } from "../src/loading/load.ts";
import { fetchSource } from "../src/loading/sources.ts";
import { streamingDigest } from "../worker/digest.ts";
import engine from "./engine.wasm";
import readers from "./readers.wasm";
import { bytesPerStep, SHAPES } from "./shapes.ts";
import { Subject, type Task } from "./subject.ts";

interface Environment {
  MODELS: { fetch(url: string): Promise<Response> };
}

const subjects = new Map<string, Subject>();

export default {
  async fetch(request: Request, env: Environment): Promise<Response> {
    const { shape, task } = (await request.json()) as { shape: string; task: Task };
    let subject = subjects.get(shape);
    if (subject === undefined) {
      const source = fetchSource(`http://models/${shape}/`, (url) => env.MODELS.fetch(url));
      subject = await Subject.create({
        engine,
        readers,
        source,
        open: (options) =>
          loadModel({
            ...options,
            module: engine,
            source,
            digest: streamingDigest,
            pause: () => Promise.resolve(),
          }),
        readBytes: bytesPerStep(SHAPES[shape]!),
      });
      subjects.set(shape, subject);
    }
    return Response.json({ result: await subject.run(task) });
  },
};
