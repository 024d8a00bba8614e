import { request as httpRequest } from "node:http";
import fc from "fast-check";
import { expect } from "vitest";
import { errorShape } from "../../worker/schema.ts";
import type { RunningWorker } from "./harness.ts";

/** Caps that keep a hostile request that happens to be valid short. */
export const HOSTILE_VARS = { MAX_TOKENS: "6", MAX_REQUEST_TOKENS: "400", MAX_BODY_BYTES: "60000" };

export interface HostileRequest {
  method: string;
  path: string;
  headers: Record<string, string>;
  body: string | Uint8Array;
}

const odd = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    false,
    0,
    -0,
    -1,
    0.5,
    1e308,
    5e-324,
    2 ** 31,
    2 ** 32,
    2 ** 53,
    2 ** 64,
  ),
  fc.constantFrom<unknown>("", " ", "\ud800", "\u0000", "__proto__", [], {}, [[]], [null], [[[]]], {
    length: 3,
  }),
  fc.jsonValue({ maxDepth: 3 }),
  fc.integer(),
  fc.double(),
  fc.string({ unit: "binary" }),
);

const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 60 }),
  fc.string({ unit: "binary", maxLength: 60 }),
  fc.constantFrom(
    "<|endoftext|>",
    "a".repeat(3000),
    " ".repeat(5000),
    "\ud83d",
    "é".repeat(500),
    "😀".repeat(400),
  ),
);
const ids = fc.array(fc.oneof(fc.nat(50_256), fc.constantFrom(50_256, 50_257, -1, 2 ** 40)), {
  maxLength: 12,
});

/** A value of the right kind nine times out of ten, so that many requests get past the first check. */
const mostly = <T>(right: fc.Arbitrary<T>) =>
  fc.oneof({ weight: 9, arbitrary: right }, { weight: 1, arbitrary: odd });

const completion = fc.record(
  {
    prompt: mostly(fc.oneof(text, fc.array(text, { maxLength: 3 }), ids, fc.array(ids, { maxLength: 3 }))),
    model: mostly(fc.constantFrom("fable", "fable", "fable", "gpt-9")),
    max_tokens: mostly(fc.integer({ min: 0, max: 7 })),
    min_tokens: mostly(fc.nat(3)),
    temperature: mostly(fc.double({ min: 0, max: 2, noNaN: true })),
    top_p: mostly(fc.double({ min: 0, max: 1, noNaN: true })),
    top_k: mostly(fc.integer({ min: -1, max: 60_000 })),
    min_p: mostly(fc.double({ min: 0, max: 1, noNaN: true })),
    n: mostly(fc.integer({ min: 1, max: 3 })),
    best_of: mostly(fc.integer({ min: 1, max: 4 })),
    stream: mostly(fc.boolean()),
    stream_options: mostly(fc.record({ include_usage: fc.boolean() })),
    logprobs: mostly(fc.integer({ min: 0, max: 5 })),
    echo: mostly(fc.boolean()),
    stop: mostly(fc.oneof(text, fc.array(text, { maxLength: 4 }))),
    stop_token_ids: mostly(ids),
    ignore_eos: mostly(fc.boolean()),
    presence_penalty: mostly(fc.double({ min: -2, max: 2, noNaN: true })),
    frequency_penalty: mostly(fc.double({ min: -2, max: 2, noNaN: true })),
    repetition_penalty: mostly(fc.double({ min: 0, max: 10, noNaN: true })),
    logit_bias: mostly(
      fc.dictionary(fc.nat(50_300).map(String), fc.double({ min: -100, max: 100, noNaN: true }), {
        maxKeys: 5,
      }),
    ),
    seed: mostly(fc.maxSafeInteger()),
    suffix: mostly(fc.constant(null)),
    user: mostly(fc.string()),
  },
  { requiredKeys: ["prompt"] },
);

/** Keeps what JSON can say of a value; fast-check makes some that it cannot. */
const stringify = (value: unknown) => JSON.stringify(value) ?? "null";

const body = fc.oneof(
  { weight: 12, arbitrary: completion.map(stringify) },
  {
    weight: 2,
    arbitrary: fc.record({ prompt: mostly(text), content: odd }, { requiredKeys: [] }).map(stringify),
  },
  { weight: 2, arbitrary: fc.record({ tokens: mostly(ids) }).map(stringify) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(completion, fc.dictionary(fc.string(), odd))
      .map(([a, b]) => stringify({ ...a, ...b })),
  },
  { weight: 1, arbitrary: fc.json() },
  {
    weight: 1,
    arbitrary: fc
      .tuple(completion.map(stringify), fc.nat())
      .map(([json, cut]) => json.slice(0, cut % json.length)),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary" }) },
  { weight: 1, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      "[".repeat(50_000),
      `{"prompt":[${"[],".repeat(15_000)}[]]}`,
      "1".repeat(50_000),
    ),
  },
);

const headerValue = fc
  .string({
    unit: fc.integer({ min: 32, max: 255 }).map((code) => String.fromCharCode(code)),
    maxLength: 300,
  })
  .map((value) => value.replaceAll("\u007f", ""));
const headers = fc.dictionary(
  fc.constantFrom(
    ...["authorization", "content-type", "content-encoding", "accept", "accept-encoding", "origin", "range"],
    ...[
      "x-request-id",
      "cf-connecting-ip",
      "x-forwarded-for",
      "cookie",
      "if-none-match",
      "user-agent",
      "x-odd",
    ],
    ...["access-control-request-method", "content-language", "x-http-method-override"],
  ),
  headerValue,
  { maxKeys: 4 },
);

export const hostileRequest: fc.Arbitrary<HostileRequest> = fc.record({
  method: fc.oneof(
    { weight: 12, arbitrary: fc.constant("POST") },
    { weight: 1, arbitrary: fc.constantFrom("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD") },
  ),
  path: fc.oneof(
    { weight: 10, arbitrary: fc.constant("/v1/completions") },
    { weight: 2, arbitrary: fc.constantFrom("/tokenize", "/detokenize") },
    {
      weight: 1,
      arbitrary: fc.constantFrom("/v1/chat/completions", "/health", "/ready", "/openapi.json", "/v1/models"),
    },
    { weight: 1, arbitrary: fc.webPath().map((path) => path || "/") },
    { weight: 1, arbitrary: fc.webPath().map((path) => `/v1/models${path}`) },
  ),
  headers,
  body,
});

/** Sends a request as it is; `fetch` would refuse to send some of these. */
export function send(
  worker: RunningWorker,
  request: HostileRequest,
): Promise<{ status: number; type: string; text: string; id: string }> {
  return new Promise((resolve, reject) => {
    const bytes = typeof request.body === "string" ? Buffer.from(request.body) : Buffer.from(request.body);
    const outgoing = httpRequest(
      {
        host: "127.0.0.1",
        port: worker.url.port,
        method: request.method,
        path: request.path,
        headers: { ...request.headers, "content-length": bytes.length },
        // A request that hangs fails the run; none takes a hundredth of this.
        timeout: 60_000,
      },
      (response) => {
        let received = "";
        response.setEncoding("utf8");
        response.on("data", (data: string) => {
          received += data;
        });
        response.on("end", () =>
          resolve({
            status: response.statusCode ?? 0,
            type: response.headers["content-type"] ?? "",
            text: received,
            id: String(response.headers["x-request-id"] ?? ""),
          }),
        );
        response.on("error", reject);
      },
    );
    outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer: ${request.method} ${request.path}`)));
    outgoing.on("error", reject);
    outgoing.end(bytes);
  });
}

/** What must hold of any answer. */
export async function survives(worker: RunningWorker, request: HostileRequest): Promise<void> {
  const { status, type, text, id } = await send(worker, request);
  expect(status).toBeGreaterThanOrEqual(200);
  expect(status).toBeLessThan(500);
  expect(id).toMatch(/^[\w\-=]+$/);
  if (request.method === "HEAD" || request.method === "OPTIONS") return;
  if (status >= 400) errorShape.parse(JSON.parse(text));
  else if (type.startsWith("text/html"))
    expect(`${request.method} ${request.path}`).toMatch(/^GET \/([?#]|$)/);
  else if (text.startsWith("data: ")) expect(text.endsWith("data: [DONE]\n\n")).toBe(true);
  else expect(JSON.parse(text)).toBeTypeOf("object");
}

const post = (path: string, json: string): HostileRequest => ({
  method: "POST",
  path,
  headers: {},
  body: json,
});

/** What once went wrong, or nearly did. */
export const REGRESSIONS: HostileRequest[] = [
  { method: "GET", path: "/", headers: { accept: "application/json" }, body: "" },
  post("/v1/completions", `{"prompt": "${"a".repeat(50_000)}"}`),
  post("/v1/completions", `{"prompt": "${"😀".repeat(10_000)}"}`),
  post("/v1/completions", '{"prompt": "a\\ud800b", "echo": true, "max_tokens": 0}'),
  post("/v1/completions", `{"prompt": [${"[],".repeat(15_000)}[]]}`),
  post(
    "/v1/completions",
    `{"prompt": "a", "logit_bias": {${Array.from({ length: 1000 }, (_, i) => `"${i}": 1`).join()}}}`,
  ),
  post("/v1/completions", '{"prompt": "a", "stream": true, "echo": true, "stop_token_ids": [50257]}'),
  post("/v1/completions", '{"prompt": "a", "__proto__": {"stream": true}, "constructor": 1}'),
];
