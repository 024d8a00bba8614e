// What requests of different clients take from each other, and what they learn of each other.
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { networkOf } from "../../worker/guard.ts";
import type { CompletionShape } from "../../worker/openai/wire/answers.ts";
import { buildWorker, type RunningWorker, removeBundle, type StartOptions, startWorker } from "./harness.ts";

let bundle: string;
let running: RunningWorker | undefined;

beforeAll(async () => {
  bundle = await buildWorker();
}, 60_000);
afterEach(async () => {
  await running?.stop();
  running = undefined;
});
afterAll(() => removeBundle(bundle));

async function start(options: StartOptions): Promise<RunningWorker> {
  running = await startWorker(bundle, options);
  return running;
}

/** 64 tokens and more, so that several blocks can be shared. */
const PROMPT = "Once upon a time there was a little dog who lived with a girl in a small house. ".repeat(6);

describe("the cache of prompts", () => {
  const cached = async (worker: RunningWorker, headers: Record<string, string>, more: object = {}) => {
    const response = await worker.post(
      "/v1/completions",
      { prompt: PROMPT, max_tokens: 1, temperature: 0, ...more },
      headers,
    );
    const { usage } = (await response.json()) as CompletionShape;
    return usage!.prompt_tokens_details.cached_tokens;
  };
  const key = (name: string) => ({ authorization: `Bearer ${name}` });

  test("tells one key nothing of what another asked, and one salt nothing of another", async () => {
    const worker = await start({ vars: { API_KEYS: "one two" } });
    expect(await cached(worker, key("one"))).toBe(0);
    expect(await cached(worker, key("one"))).toBeGreaterThanOrEqual(64);
    expect(await cached(worker, key("two"))).toBe(0);
    expect(await cached(worker, key("two"))).toBeGreaterThanOrEqual(64);
    expect(await cached(worker, key("one"), { cache_salt: "a" })).toBe(0);
    expect(await cached(worker, key("one"), { cache_salt: "a" })).toBeGreaterThanOrEqual(64);
    expect(await cached(worker, key("one"), { cache_salt: "b" })).toBe(0);
    // A salt opens nobody else's cache.
    expect(await cached(worker, key("two"), { cache_salt: "a" })).toBe(0);
    expect(await cached(worker, key("two"), { cache_salt: '"],["' })).toBe(0);
  });

  test("is an address's own where there are no keys", async () => {
    const worker = await start({});
    const from = (address: string) => ({ "cf-connecting-ip": address });
    expect(await cached(worker, from("192.0.2.1"))).toBe(0);
    expect(await cached(worker, from("192.0.2.1"))).toBeGreaterThanOrEqual(64);
    expect(await cached(worker, from("192.0.2.2"))).toBe(0);
    // Whoever has one address of IPv6 has all of its network.
    expect(await cached(worker, from("2001:db8:1:2::5"))).toBe(0);
    expect(await cached(worker, from("2001:0DB8:1:2:ffff::1"))).toBeGreaterThanOrEqual(64);
    expect(await cached(worker, from("2001:db8:1:3::5"))).toBe(0);
  });

  test.each([
    ["192.0.2.1", "192.0.2.1"],
    ["::ffff:192.0.2.1", "192.0.2.1"],
    ["::1", "0:0:0:0::/64"],
    ["fe80::1%eth0", "fe80:0:0:0::/64"],
    ["2001:DB8:0001:2:3:4:5:6", "2001:db8:1:2::/64"],
    ["2001:db8::", "2001:db8:0:0::/64"],
    ["unknown", "unknown"],
  ])("an address counts as its network: %s", (address, network) => {
    expect(networkOf(address)).toBe(network);
  });

  test("is everybody's where the configuration says so, but for salts", async () => {
    const worker = await start({ vars: { API_KEYS: "one two", CACHE_SHARING: "all" } });
    expect(await cached(worker, key("one"))).toBe(0);
    expect(await cached(worker, key("two"))).toBeGreaterThanOrEqual(64);
    expect(await cached(worker, key("two"), { cache_salt: "a" })).toBe(0);
  });

  test("takes texts for salts, and nothing else", async () => {
    const worker = await start({});
    for (const cache_salt of [7, "a".repeat(257), ["a"]])
      expect((await worker.post("/v1/completions", { prompt: "a", cache_salt })).status).toBe(400);
  });
});

describe("turns", () => {
  test("a question is answered beside requests for 128 long texts each", async () => {
    const worker = await start({});
    const question = { prompt: "Tom had a red ball.", max_tokens: 12, seed: 3 };
    const alone = (await (await worker.post("/v1/completions", question)).json()) as CompletionShape;
    const leave = new AbortController();
    let floodEvents = 0;
    const floods = Array.from({ length: 5 }, async (_, i) => {
      const response = await fetch(new URL("/v1/completions", worker.url), {
        method: "POST",
        signal: leave.signal,
        body: JSON.stringify({
          prompt: Array.from({ length: 8 }, (_, k) => `Once upon a time there were ${i * 8 + k}`),
          ...{ n: 16, max_tokens: 500, ignore_eos: true, stream: true, seed: i },
        }),
      });
      const decoder = new TextDecoder();
      for await (const bytes of response.body!)
        floodEvents += decoder.decode(bytes, { stream: true }).split("data: ").length - 1;
    });
    const gone = floods.map((flood) => expect(flood).rejects.toThrow());
    while (floodEvents < 600) await new Promise((resolve) => setTimeout(resolve, 20));
    const waits: number[] = [];
    for (let i = 0; i < 5; i++) {
      const before = floodEvents;
      const response = await worker.post("/v1/completions", question);
      const { choices } = (await response.json()) as CompletionShape;
      expect(choices[0]!.text).toBe(alone.choices[0]!.text);
      waits.push(floodEvents - before);
    }
    leave.abort();
    await Promise.all(gone);
    console.log(`tokens of the flood from question to answer: ${waits.join(", ")}`);
    // 12 tokens beside 7 others make 84; first come, first served, eight texts of 500 tokens ended first.
    for (const wait of waits) expect(wait).toBeLessThan(500);
  });
});

describe("routes that need no key", () => {
  test("are counted by the rate limit, by themselves", async () => {
    const worker = await start({ rateLimit: 3 });
    const statuses: number[] = [];
    for (const path of ["/health", "/openapi.json", "/", "/ready", "/page/page.js"])
      statuses.push((await fetch(new URL(path, worker.url))).status);
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    expect((await worker.post("/v1/completions", { prompt: "Once", max_tokens: 1 })).status).toBe(200);
  });

  test("do not load a damaged model again at each call", async () => {
    const opened: string[] = [];
    const worker = await start({
      vars: { LOAD_RETRY_MS: "700" },
      files: (path) => {
        opened.push(path);
        return new Response("{");
      },
    });
    const ready = async () => {
      const response = await fetch(new URL("/ready", worker.url));
      expect(response.headers.get("retry-after")).toBe("2");
      return response.status;
    };
    for (let i = 0; i < 20; i++) expect(await ready()).toBe(503);
    expect(opened).toHaveLength(1);
    await new Promise((resolve) => setTimeout(resolve, 800));
    expect(await ready()).toBe(503);
    expect(opened).toHaveLength(2);
  });
});
