// `GET /?prompt=…&seed=…` streams a story. Only the core is used: Deno has fetch for files.
import { compileEngine, EdgeformerError, fetchSource, loadModel } from "edgeformer";

const model = await loadModel({
  module: await compileEngine(fetch(import.meta.resolve("edgeformer/engine.wasm"))),
  source: fetchSource(new URL(".", import.meta.resolve("edgeformer/models/fable/model.json"))),
});

/** The text of the chunks, the first of which has already been taken. */
async function* textOf(first, chunks) {
  yield first.text;
  for await (const { text } of chunks) yield text;
}

async function fetchHandler(request) {
  const query = new URL(request.url).searchParams;
  const prompt = query.get("prompt") ?? "Once upon a time";
  const chunks = model.generate(prompt, {
    maxTokens: 120,
    temperature: 0.8,
    seed: Number(query.get("seed") ?? 1),
    signal: request.signal,
  });
  try {
    // Bad input is told with the first chunk, while there is still a status to choose.
    const { value: first } = await chunks.next();
    const stream = ReadableStream.from(textOf(first, chunks)).pipeThrough(new TextEncoderStream());
    return new Response(stream, { headers: { "content-type": "text/plain; charset=utf-8" } });
  } catch (error) {
    if (!(error instanceof EdgeformerError)) throw error;
    return new Response(`${error.message}\n`, { status: 400 });
  }
}

export default { fetch: fetchHandler };
