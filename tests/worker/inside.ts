// A Worker for the tests that runs the endpoint inside itself, so that "computed" and "received" fall into one
// order that no network or clock disturbs. tests/worker/order.test.ts asks it.
import engine from "../../build/engine.wasm";
import { Model } from "../../src/index.ts";
import { createApp } from "../../worker/app.ts";
import type { Env } from "../../worker/config.ts";

type Context = Parameters<ReturnType<typeof createApp>["fetch"]>[2] & object;

let record: string[] = [];

const { generate } = Model.prototype;
Model.prototype.generate = async function* (...parameters) {
  let tokens = 0;
  for await (const chunk of generate.apply(this, parameters)) {
    tokens += chunk.ids.length;
    record.push(`computed ${tokens}`);
    yield chunk;
  }
};

const app = createApp({ engine, engineDigest: "test" });

/**
 * Reads a streamed completion event by event and says in which order things happened.
 * `leave`: go away after so many events. `idle`: never read at all.
 */
export default {
  async fetch(request: Request, env: Env, context: Context): Promise<Response> {
    const { leave, idle, body, vars } = (await request.json()) as {
      leave?: number;
      idle?: boolean;
      body: object;
      vars?: Record<string, string>;
    };
    await app.fetch(new Request("http://inside/ready"), env, context);
    record = [];
    const tails: Promise<unknown>[] = [];
    const response = await app.fetch(
      new Request("http://inside/v1/completions", { method: "POST", body: JSON.stringify(body) }),
      { ...env, ...vars },
      { ...context, waitUntil: (promise: Promise<unknown>) => void tails.push(promise) } as Context,
    );
    if (!idle) {
      const reader = (response.body as ReadableStream<Uint8Array>).getReader();
      const decoder = new TextDecoder();
      for (let read = await reader.read(), events = 0; !read.done; read = await reader.read()) {
        const text = decoder.decode(read.value);
        if (text.startsWith("data: {")) record.push(`received ${++events}`);
        else record.push(text.trim());
        if (events === leave) {
          await reader.cancel();
          record.push("left");
          break;
        }
      }
    }
    await Promise.all(tails);
    return Response.json({ status: response.status, record });
  },
};
