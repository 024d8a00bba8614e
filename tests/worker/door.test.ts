import { Agent, request } from "node:http";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
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

const BODY = { prompt: "Once", max_tokens: 1 };

async function errorOf(response: Response) {
  return ((await response.json()) as { error: Record<string, unknown> }).error;
}

describe("keys", () => {
  test("without keys the endpoint is open, and the log says so", async () => {
    const worker = await start({});
    expect((await worker.post("/v1/completions", BODY)).status).toBe(200);
    await worker.logged((line) => line.event === "open");
  });

  test("with keys, only they open it", async () => {
    const worker = await start({ vars: { API_KEYS: "sk-first, sk-second\nsk-third" } });
    const post = (authorization?: string) =>
      worker.post("/v1/completions", BODY, authorization === undefined ? {} : { authorization });
    for (const key of ["sk-first", "sk-second", "sk-third"]) {
      expect((await post(`Bearer ${key}`)).status).toBe(200);
      expect((await post(`bearer  ${key} `)).status).toBe(200);
    }
    for (const wrong of ["Bearer sk-firs", "Bearer sk-firstt", "Bearer sk-first,", "Bearer SK-FIRST"]) {
      const response = await post(wrong);
      expect(response.status).toBe(401);
      expect(response.headers.get("www-authenticate")).toBe("Bearer");
      expect(await errorOf(response)).toMatchObject({
        code: "invalid_api_key",
        type: "invalid_request_error",
      });
    }
    for (const none of [
      undefined,
      "",
      "Bearer",
      "Bearer ",
      "Basic sk-first",
      "sk-first",
      "Bearer sk-first sk-second",
    ])
      expect((await post(none)).status, String(none)).toBe(401);
    for (const path of ["/v1/models", "/v1/models/fable", "/weights.00.bin", "/nowhere"])
      expect((await fetch(new URL(path, worker.url))).status, path).toBe(401);
    for (const path of ["/health", "/ready", "/openapi.json"])
      expect((await fetch(new URL(path, worker.url))).status, path).toBe(200);
    expect(worker.log.some((line) => line.event === "open")).toBe(false);
    expect(JSON.stringify(worker.log)).not.toContain("sk-");
  });

  test("a secret without a key in it keeps the door shut", async () => {
    const worker = await start({ vars: { API_KEYS: " , " } });
    const response = await worker.post("/v1/completions", BODY);
    expect(response.status).toBe(500);
    expect(await errorOf(response)).toMatchObject({ message: expect.stringContaining("API_KEYS") });
  });
});

describe("limits", () => {
  test("by rate, with Retry-After", async () => {
    const worker = await start({ rateLimit: 3, vars: { RATE_LIMIT_PERIOD: "60" } });
    for (let i = 0; i < 3; i++) expect((await worker.post("/v1/completions", BODY)).status).toBe(200);
    const response = await worker.post("/v1/completions", BODY);
    expect(response.status).toBe(429);
    expect(response.headers.get("retry-after")).toBe("60");
    expect(await errorOf(response)).toMatchObject({ code: "rate_limit_exceeded", type: "requests" });
    expect((await fetch(new URL("/health", worker.url))).status).toBe(200);
  });

  test("by rate for each key", async () => {
    const worker = await start({ rateLimit: 1, vars: { API_KEYS: "one,two" } });
    const post = async (key: string) =>
      (await worker.post("/v1/completions", BODY, { authorization: `Bearer ${key}` })).status;
    expect(await post("one")).toBe(200);
    expect(await post("one")).toBe(429);
    expect(await post("two")).toBe(200);
    expect(await post("wrong")).toBe(401);
    expect(await post("guess")).toBe(429);
  });

  test("by configuration", async () => {
    const vars = {
      MAX_TOKENS: "8",
      MAX_CHOICES: "2",
      MAX_PROMPTS: "2",
      MAX_REQUEST_TOKENS: "20",
      MAX_BODY_BYTES: "300",
      CONTEXT: "64",
    };
    const worker = await start({ vars });
    const refused: [body: Record<string, unknown>, status: number, param: string | null][] = [
      [{ prompt: "a", max_tokens: 9 }, 400, "max_tokens"],
      [{ prompt: "a", max_tokens: 1, n: 3 }, 400, "n"],
      [{ prompt: "a", max_tokens: 1, best_of: 3 }, 400, "best_of"],
      [{ prompt: ["a", "b", "c"], max_tokens: 1 }, 400, "prompt"],
      [{ prompt: ["a b c d", "a"], max_tokens: 8 }, 400, "prompt"],
      [{ prompt: "a ".repeat(70), max_tokens: 1 }, 400, "prompt"],
      [{ prompt: "a".repeat(300) }, 413, null],
    ];
    for (const [body, status, param] of refused) {
      const response = await worker.post("/v1/completions", body);
      expect(response.status, JSON.stringify(body)).toBe(status);
      expect(await errorOf(response)).toMatchObject({ param });
    }
    const good = await worker.post("/v1/completions", { prompt: ["a", "b"], max_tokens: 8 });
    expect(good.status).toBe(200);
    expect(await (await fetch(new URL("/v1/models", worker.url))).json()).toMatchObject({
      data: [{ max_model_len: 64 }],
    });
  });

  test("a wrong setting is named instead of ignored", async () => {
    const worker = await start({ vars: { MAX_TOKENS: "many" } });
    const response = await worker.post("/v1/completions", BODY);
    expect(response.status).toBe(500);
    expect(await errorOf(response)).toMatchObject({ message: expect.stringContaining("MAX_TOKENS") });
  });
});

describe("connections", () => {
  test("survive a refusal that did not need the body", async () => {
    const worker = await start({ vars: { API_KEYS: "one" } });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const send = (method: string, path: string, headers: Record<string, string>) =>
      new Promise<number | undefined>((resolve, reject) => {
        const outgoing = request(
          { agent, host: "127.0.0.1", port: worker.url.port, method, path, headers },
          (response) => response.resume().on("end", () => resolve(response.statusCode)),
        );
        outgoing.on("error", reject);
        outgoing.end("a".repeat(50_000));
      });
    const key = { authorization: "Bearer one" };
    for (let i = 0; i < 3; i++) {
      expect(await send("POST", "/v1/completions", {})).toBe(401);
      expect(await send("POST", "/nowhere", key)).toBe(404);
      expect(await send("PUT", "/v1/models", key)).toBe(405);
      expect(await send("POST", "/v1/chat/completions", key)).toBe(404);
    }
    agent.destroy();
  });
});

describe("headers and log", () => {
  test("requests have ids, of the client's choosing if it likes", async () => {
    const worker = await start({});
    const own = await worker.post("/v1/completions", BODY, { "x-request-id": "my-id_1" });
    expect(own.headers.get("x-request-id")).toBe("my-id_1");
    const bad = await worker.post("/v1/completions", BODY, { "x-request-id": "a b<script>" });
    expect(bad.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
  });

  test("one line for each request, without what it said", async () => {
    const worker = await start({});
    const prompt = "a secret story";
    await worker.post("/v1/completions", { ...BODY, prompt }, { "x-request-id": "plain" });
    await (
      await worker.post("/v1/completions", { ...BODY, prompt, stream: true }, { "x-request-id": "stream" })
    ).text();
    await worker.post("/v1/completions", { prompt, n: 0 }, { "x-request-id": "error" });
    expect(await worker.logged((line) => line.request_id === "plain")).toMatchObject({
      event: "request",
      method: "POST",
      path: "/v1/completions",
      status: 200,
      stream: false,
      outcome: "ok",
      prompt_tokens: 3,
      completion_tokens: 1,
      cached_tokens: expect.any(Number),
      duration_ms: expect.any(Number),
    });
    expect(await worker.logged((line) => line.request_id === "stream")).toMatchObject({
      stream: true,
      outcome: "ok",
      completion_tokens: 1,
    });
    expect(await worker.logged((line) => line.request_id === "error")).toMatchObject({
      status: 400,
      outcome: "error",
      error_code: "invalid_value",
    });
    expect(worker.log.filter((line) => line.event === "request")).toHaveLength(3);
    expect(JSON.stringify(worker.log)).not.toContain("secret");
  });

  test("browsers may call it from anywhere, or from where the configuration says", async () => {
    const preflight = (worker: RunningWorker) =>
      fetch(new URL("/v1/completions", worker.url), {
        method: "OPTIONS",
        headers: {
          origin: "https://app.example",
          "access-control-request-method": "POST",
          "access-control-request-headers": "authorization, content-type",
        },
      });
    const open = await preflight(await start({ vars: { API_KEYS: "one" } }));
    expect(open.status).toBe(204);
    expect(open.headers.get("access-control-allow-origin")).toBe("*");
    expect(open.headers.get("access-control-allow-headers")?.toLowerCase()).toContain("authorization");
    await running?.stop();
    const worker = await start({ vars: { CORS_ORIGIN: "https://app.example" } });
    expect((await preflight(worker)).headers.get("access-control-allow-origin")).toBe("https://app.example");
    for (const body of [BODY, { prompt: "" }, { ...BODY, stream: true }]) {
      const response = await worker.post("/v1/completions", body, { origin: "https://app.example" });
      expect(response.headers.get("access-control-allow-origin")).toBe("https://app.example");
      expect(response.headers.get("access-control-expose-headers")).toContain("x-request-id");
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
      expect(response.headers.get("strict-transport-security")).not.toBeNull();
      await response.text();
    }
  });
});
