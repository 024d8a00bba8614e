import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { chatRequest } from "../../worker/openai/chat-schema.ts";
import { completionRequest } from "../../worker/openai/completions-schema.ts";
import { modelWith, TEMPLATE } from "./chat-model.ts";
import { buildWorker, type RunningWorker, removeBundle, startWorker } from "./harness.ts";

let bundle: string;
let directory: string;
let worker: RunningWorker;

beforeAll(async () => {
  bundle = await buildWorker();
  directory = await modelWith({ chat_template: TEMPLATE });
  worker = await startWorker(bundle, { model: directory });
}, 60_000);
afterAll(async () => {
  await worker.stop();
  await removeBundle(bundle);
  await rm(directory, { recursive: true });
});

test("what is uploaded as code is at most 1 MB, and holds no weights", async () => {
  const files = (await readdir(bundle)).filter((file) => /\.(js|wasm)$/.test(file));
  const sizes = await Promise.all(files.map(async (file) => (await stat(join(bundle, file))).size));
  expect(files.filter((file) => file.endsWith(".wasm"))).toHaveLength(1);
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(1_000_000);
});

interface OpenApi {
  openapi: string;
  paths: Record<string, Record<string, { responses: Record<string, unknown> }>>;
  components: { schemas: Record<string, { properties: object; required?: string[] }> };
}

test("/openapi.json describes every route and every field", async () => {
  const text = await (await fetch(new URL("/openapi.json", worker.url))).text();
  const document = JSON.parse(text) as OpenApi;
  expect(document.openapi).toBe("3.1.0");
  for (const [, reference] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g))
    expect(document.components.schemas).toHaveProperty(reference!);
  const { CompletionRequest, ChatRequest } = document.components.schemas;
  expect(Object.keys(CompletionRequest!.properties)).toEqual(Object.keys(completionRequest.shape));
  expect(CompletionRequest!.required).toEqual(["prompt"]);
  expect(Object.keys(ChatRequest!.properties)).toEqual(Object.keys(chatRequest.shape));
  expect(ChatRequest!.required).toEqual(["messages"]);
  for (const [path, methods] of Object.entries(document.paths))
    for (const method of Object.keys(methods)) {
      const url = new URL(path.replace("{id}", "fable"), worker.url);
      const { status } = await fetch(url, {
        method: method.toUpperCase(),
        ...(method === "post" ? { body: "" } : {}),
      });
      expect([200, 400], path).toContain(status);
      expect(methods[method]!.responses).toHaveProperty(String(status));
    }
});
