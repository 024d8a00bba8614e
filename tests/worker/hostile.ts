import { request as httpRequest } from "node:http";
import fc from "fast-check";
import { expect } from "vitest";
import { errorShape } from "../../worker/openai/answer-schemas.ts";
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
const knownIds = fc.array(fc.nat(50_256), { maxLength: 12 });
const ids = fc.array(fc.oneof(fc.nat(50_256), fc.constantFrom(50_256, 50_257, -1, 2 ** 40)), {
  maxLength: 12,
});

/** What becomes of a value of the right kind. */
type Bend = <T>(right: fc.Arbitrary<T>) => fc.Arbitrary<unknown>;

/** Another kind one time out of ten: of a request with two dozen fields hardly one is right altogether. */
const mostly: Bend = (right) => fc.oneof({ weight: 9, arbitrary: right }, { weight: 1, arbitrary: odd });
/** Left as it is, so that many requests are computed. */
const tame: Bend = (right) => right;

const schema = fc.oneof(
  fc.constantFrom<object>(
    { type: "object" },
    { type: "integer", minimum: 0, maximum: 9 },
    { enum: ["a", 1, null] },
    { type: "array", items: { type: "string", pattern: "^[a-c]{1,3}$" }, maxItems: 2 },
    { $ref: "#" },
    { allOf: [{ minimum: 3 }, { maximum: 2 }], type: "number" },
  ),
  fc.dictionary(fc.constantFrom("type", "enum", "items", "properties", "pattern", "minimum", "not"), odd),
);
const responseFormat = mostly(
  fc.oneof(
    fc.constantFrom({ type: "text" }, { type: "json_object" }),
    fc.record({
      type: fc.constant("json_schema"),
      json_schema: mostly(
        fc.record({ name: mostly(text), schema: mostly(schema), strict: mostly(fc.boolean()) }),
      ),
    }),
  ),
);
const structuredOutputs = mostly(
  fc.oneof(
    fc.record({ json: mostly(schema) }),
    fc.record({ regex: mostly(fc.constantFrom("[a-c]{1,9}", "(", ".*", "(a|b)*c", "(a*)*{9}", "\\p{L}+")) }),
    fc.record({ choice: mostly(fc.array(text, { maxLength: 3 })) }),
  ),
);
const tools = mostly(
  fc.array(
    fc.record({
      type: mostly(fc.constant("function")),
      function: mostly(
        fc.record(
          { name: mostly(fc.constantFrom("f", "g")), parameters: mostly(schema) },
          { requiredKeys: ["name"] },
        ),
      ),
    }),
    { maxLength: 2 },
  ),
);

/** The fields of both ways to complete. */
const common = (bend: Bend) => ({
  model: bend(fc.constant("fable")),
  max_tokens: bend(fc.integer({ min: 1, max: 6 })),
  min_tokens: bend(fc.nat(3)),
  temperature: bend(fc.double({ min: 0, max: 2, noNaN: true })),
  top_p: bend(fc.double({ min: 0, max: 1, noNaN: true })),
  top_k: bend(fc.integer({ min: -1, max: 50_257 })),
  min_p: bend(fc.double({ min: 0, max: 1, noNaN: true })),
  n: bend(fc.integer({ min: 1, max: 3 })),
  stream: bend(fc.boolean()),
  stop: bend(fc.oneof(text, fc.array(text, { maxLength: 4 }))),
  stop_token_ids: bend(knownIds),
  ignore_eos: bend(fc.boolean()),
  presence_penalty: bend(fc.double({ min: -2, max: 2, noNaN: true })),
  frequency_penalty: bend(fc.double({ min: -2, max: 2, noNaN: true })),
  repetition_penalty: bend(fc.double({ min: Number.MIN_VALUE, max: 10, noNaN: true })),
  logit_bias: bend(
    fc.dictionary(fc.nat(50_256).map(String), fc.double({ min: -100, max: 100, noNaN: true }), {
      maxKeys: 5,
    }),
  ),
  seed: bend(fc.maxSafeInteger()),
  user: bend(fc.string()),
});

const completionOf = (
  bend: Bend,
  prompt: fc.Arbitrary<unknown>,
  odds: Record<string, fc.Arbitrary<unknown>>,
) =>
  fc.record(
    {
      ...common(bend),
      prompt,
      logprobs: bend(fc.integer({ min: 0, max: 5 })),
      echo: bend(fc.boolean()),
      suffix: bend(fc.constant(null)),
      ...odds,
    },
    { requiredKeys: ["prompt"] },
  );
const prompts = fc.oneof(text, fc.array(text, { maxLength: 3 }), ids, fc.array(ids, { maxLength: 3 }));
const completion = completionOf(mostly, mostly(prompts), {
  model: mostly(fc.constantFrom("fable", "gpt-9")),
  max_tokens: mostly(fc.integer({ min: 0, max: 7 })),
  best_of: mostly(fc.integer({ min: 1, max: 4 })),
  stream_options: mostly(fc.record({ include_usage: fc.boolean() })),
  stop_token_ids: mostly(ids),
  response_format: responseFormat,
  structured_outputs: structuredOutputs,
});
const tameCompletion = completionOf(tame, fc.oneof(text, knownIds), {});

const messageOf = (bend: Bend, roles: string[]) => {
  const part = fc.record({ type: bend(fc.constant("text")), text: bend(text) });
  const content = fc.oneof(text, fc.array(bend(part), { minLength: 1, maxLength: 3 }));
  return fc.record(
    {
      role: bend(fc.constantFrom(...roles)),
      content: bend(content),
      name: bend(fc.string({ unit: "binary", maxLength: 60 })),
      refusal: bend(fc.constant(null)),
    },
    { requiredKeys: ["role", "content"] },
  );
};
const chatOf = (bend: Bend, roles: string[], odds: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record(
    {
      ...common(bend),
      messages: bend(fc.array(bend(messageOf(bend, roles)), { minLength: 1, maxLength: 4 })),
      logprobs: bend(fc.boolean()),
      response_format: bend(fc.constant({ type: "text" })),
      tools: bend(fc.constant(null)),
      ...odds,
    },
    { requiredKeys: ["messages"] },
  );
const ROLES = ["system", "developer", "user", "assistant"];
const chat = chatOf(mostly, [...ROLES, "tool"], {
  max_completion_tokens: mostly(fc.integer({ min: 1, max: 7 })),
  top_logprobs: mostly(fc.nat(20)),
  response_format: responseFormat,
  structured_outputs: structuredOutputs,
  tools,
  tool_choice: mostly(fc.constantFrom("none", "auto", "required")),
  parallel_tool_calls: mostly(fc.boolean()),
});
const tameChat = chatOf(tame, ROLES, {});

/** Keeps what JSON can say of a value; fast-check makes some that it cannot. */
const stringify = (value: unknown) => JSON.stringify(value) ?? "null";

const body = fc.oneof(
  { weight: 12, arbitrary: completion.map(stringify) },
  { weight: 4, arbitrary: chat.map(stringify) },
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

/** Any path with any body. */
const anything: fc.Arbitrary<HostileRequest> = fc.record({
  method: fc.oneof(
    { weight: 12, arbitrary: fc.constant("POST") },
    { weight: 1, arbitrary: fc.constantFrom("GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD") },
  ),
  path: fc.oneof(
    { weight: 10, arbitrary: fc.constant("/v1/completions") },
    { weight: 4, arbitrary: fc.constant("/v1/chat/completions") },
    { weight: 2, arbitrary: fc.constantFrom("/tokenize", "/detokenize") },
    {
      weight: 1,
      arbitrary: fc.constantFrom("/health", "/ready", "/openapi.json", "/v1/models"),
    },
    { weight: 1, arbitrary: fc.webPath().map((path) => path || "/") },
    { weight: 1, arbitrary: fc.webPath().map((path) => `/v1/models${path}`) },
  ),
  headers,
  body,
});

/** A body where it belongs. */
const posted = (path: string, json: fc.Arbitrary<string>): fc.Arbitrary<HostileRequest> =>
  fc.record({ method: fc.constant("POST"), path: fc.constant(path), headers, body: json });

export const hostileRequest: fc.Arbitrary<HostileRequest> = fc.oneof(
  { weight: 6, arbitrary: anything },
  { weight: 1, arbitrary: posted("/v1/completions", tameCompletion.map(stringify)) },
  { weight: 1, arbitrary: posted("/v1/chat/completions", chat.map(stringify)) },
  { weight: 1, arbitrary: posted("/v1/chat/completions", tameChat.map(stringify)) },
);

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
  // A slash at a path's end makes no other path: "//" is the page, too.
  else if (type.startsWith("text/html"))
    expect(`${request.method} ${request.path}`).toMatch(/^GET \/\/?([?#]|$)/);
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
  post("/v1/chat/completions", `{"messages": ${"[".repeat(25_000)}${"]".repeat(25_000)}}`),
  post("/v1/chat/completions", `{"messages": [${'{"role":"user","content":"a"},'.repeat(900)}{}]}`),
  post("/v1/chat/completions", `{"messages": [{"role": "user", "content": "${"<".repeat(50_000)}"}]}`),
  post("/v1/chat/completions", '{"messages": [{"role": "user", "content": "a\\ud800<|endoftext|>\\ufdd1"}]}'),
  post("/v1/completions", '{"prompt": "a", "__proto__": {"stream": true}, "constructor": 1}'),
];
