// The endpoint's application itself, on plain Node: how often something is built cannot be seen from outside.
import { beforeAll, expect, test, vi } from "vitest";
import { fetchSource } from "../../src/index.ts";
import { createApp } from "../../worker/app.ts";
import { defineWorkerGlobals } from "../../worker/node/globals.ts";

const built = vi.hoisted(() => ({ times: 0 }));
vi.mock("../../worker/openai/openapi.ts", async (original) => {
  const { openapi } = await original<typeof import("../../worker/openai/openapi.ts")>();
  return {
    openapi: () => {
      built.times++;
      return openapi();
    },
  };
});

beforeAll(defineWorkerGlobals);

const context = { waitUntil: () => {}, passThroughOnException() {}, props: {} };

test("/openapi.json is built at the first request and not again", async () => {
  const app = createApp({ engine: {} as WebAssembly.Module });
  const ask = async () =>
    (await app.request("/openapi.json", undefined, { ASSETS: { fetch } }, context)).text();
  expect(built.times).toBe(0);
  const first = await ask();
  expect(JSON.parse(first)).toMatchObject({ openapi: "3.1.0" });
  for (let i = 0; i < 3; i++) expect(await ask()).toBe(first);
  expect(built.times).toBe(1);
});

test.each([
  ["refuses", async () => new Response("", { status: 403 })],
  ["has something else", async () => new Response("{}")],
  ["cannot be reached", undefined],
])(
  "a password in the address of a model is shown by no route and no line of the log, where the server %s",
  async (_, answer) => {
    const lines: unknown[] = [];
    const spies = (["log", "warn", "error"] as const).map((name) =>
      vi.spyOn(console, name).mockImplementation((...line) => void lines.push(line)),
    );
    const source = () => fetchSource("http://me:s3cret@127.0.0.1:9/model", answer);
    const app = createApp({ engine: {} as WebAssembly.Module, source });
    for (const path of ["/ready", "/health", "/v1/models"]) {
      const response = await app.request(path, undefined, { ASSETS: { fetch } }, context);
      lines.push(response.status, [...response.headers], await response.text());
    }
    for (const spy of spies) spy.mockRestore();
    expect(JSON.stringify(lines)).toContain("model_load_failed");
    expect(JSON.stringify(lines)).not.toMatch(/s3cret|me:|bWU6/);
  },
);
