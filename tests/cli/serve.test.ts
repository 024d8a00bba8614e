import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import OpenAI from "openai";
import { afterEach, describe, expect, test, vi } from "vitest";
import { run } from "../../src/cli/program.ts";
import { bundledModel, openModel } from "../../src/node/index.ts";
import type { Facts } from "../../worker/page/shared/facts.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";

const temporary = temporaryDirectory();
const FABLE = ["--model", bundledModel()];
const PROMPT = { model: "fable", prompt: "Once upon a time", max_tokens: 24, seed: 7 };

interface Served {
  code: Promise<number>;
  /** Resolves once it serves. */
  origin: Promise<string>;
  stderr: () => string;
  stop: () => Promise<number>;
}

let running: Served | undefined;
let log: string[] = [];

/** Runs `edgeformer serve` in this process, on a free port. */
function serve(args: string[], environment: Record<string, string> = {}): Served {
  log = [];
  for (const method of ["log", "warn", "error"] as const)
    vi.spyOn(console, method).mockImplementation((line) => log.push(String(line)));
  for (const [name, value] of Object.entries({ EDGEFORMER_HOME: temporary, ...environment }))
    vi.stubEnv(name, value);
  const controller = new AbortController();
  let stderr = "";
  let serving: (origin: string) => void;
  const origin = new Promise<string>((resolve) => {
    serving = resolve;
  });
  const streams = {
    stdout: { write: () => true },
    stderr: {
      write(text: string) {
        stderr += text;
        const found = / is served at (\S+)/.exec(stderr);
        if (found) serving(found[1]!);
      },
    },
  };
  const code = run(["serve", "--port", "0", ...args], streams, controller.signal);
  running = {
    code,
    origin,
    stderr: () => stderr,
    stop() {
      controller.abort();
      return code;
    },
  };
  return running;
}

afterEach(async () => {
  await running?.stop();
  running = undefined;
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

describe("edgeformer serve", () => {
  test("knows a client by its connection, whatever address it gives itself", async () => {
    const origin = await serve(FABLE).origin;
    const cachedAs = async (address: string) => {
      const response = await fetch(`${origin}/v1/completions`, {
        method: "POST",
        headers: { "cf-connecting-ip": address, "x-forwarded-for": address },
        body: JSON.stringify({ ...PROMPT, prompt: "Once upon a time ".repeat(20) }),
      });
      const { usage } = (await response.json()) as OpenAI.Completion;
      return usage?.prompt_tokens_details?.cached_tokens;
    };
    expect(await cachedAs("192.0.2.1")).toBe(0);
    // The same client again: under many names it would take many turns, and read what others have cached.
    expect(await cachedAs("192.0.2.2")).toBeGreaterThanOrEqual(64);
  });

  test("uploads that stall do not take all memory, however small they are", async () => {
    const { port } = new URL(await serve(FABLE, { REQUEST_MEMORY: "1000000" }).origin);
    const sockets: Socket[] = [];
    // Each holds four times what it announces: all together more than there is, to the last bytes.
    for (const length of [16_000, 1000, 100, 10]) {
      for (let i = 0; i < 16; i++) {
        const socket = connect(Number(port), "127.0.0.1", () =>
          socket.write(`POST /tokenize HTTP/1.1\r\nhost: x\r\ncontent-length: ${length}\r\n\r\n{`),
        );
        socket.on("error", () => {});
        sockets.push(socket);
      }
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    const body = JSON.stringify(PROMPT);
    const answer = await fetch(`http://127.0.0.1:${port}/v1/completions`, { method: "POST", body });
    expect(answer.status).toBe(200);
    for (const socket of sockets) socket.destroy();
  });

  test("answers OpenAI's client with the text that the library gives, streamed and whole", async () => {
    const { origin } = serve(FABLE);
    const client = new OpenAI({ baseURL: `${await origin}/v1`, apiKey: "none" });
    const model = await openModel(bundledModel());
    const { text } = await model.complete(PROMPT.prompt, { maxTokens: PROMPT.max_tokens, seed: PROMPT.seed });
    model.dispose();
    let streamed = "";
    let chunks = 0;
    for await (const { choices } of await client.completions.create({ ...PROMPT, stream: true })) {
      streamed += choices[0]?.text ?? "";
      chunks++;
    }
    expect(streamed).toBe(text);
    expect(chunks).toBeGreaterThan(20);
    const answers = await Promise.all(Array.from({ length: 4 }, () => client.completions.create(PROMPT)));
    for (const { choices } of answers) expect(choices[0]!.text).toBe(text);
  });

  test("shows in its log what a client would have a terminal obey", async () => {
    const origin = await serve(FABLE).origin;
    await fetch(`${origin}/v1/%c2%9b2J%e2%80%ae`);
    const body = JSON.stringify({ ...PROMPT, logit_bias: { "\u009b2J\u001b": 1 } });
    await fetch(`${origin}/v1/completions`, { method: "POST", body });
    const lines = log.filter((line) => line.includes("2J"));
    expect(lines).toHaveLength(2);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    for (const line of lines) expect(line).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/);
    expect(JSON.parse(lines[0]!).path).toBe("/v1/\u009b2J\u202e");
  });

  test("serves the page, and to this machine the model too", async () => {
    const { origin } = serve(FABLE);
    const get = async (path: string) => fetch(`${await origin}${path}`);
    expect(await (await get("/")).text()).toContain("<html");
    const facts = (await (await get("/page/facts.json")).json()) as Facts;
    expect(facts).toMatchObject({ name: "fable", publicModel: true, standIn: null });
    expect((await get("/page/model/weights.00.bin")).status).toBe(200);
    expect((await get("/page/model/README.md")).status).toBe(404);
  });

  test("takes its keys and settings from the environment", async () => {
    const { origin } = serve(FABLE, { API_KEYS: "sk-right", MAX_TOKENS: "5", PUBLIC_MODEL: "false" });
    const ask = async (key: string, maxTokens: number) =>
      fetch(`${await origin}/v1/completions`, {
        method: "POST",
        headers: { authorization: `Bearer ${key}` },
        body: JSON.stringify({ ...PROMPT, max_tokens: maxTokens }),
      });
    expect((await ask("sk-wrong", 5)).status).toBe(401);
    expect((await ask("sk-right", 6)).status).toBe(400);
    expect((await ask("sk-right", 5)).status).toBe(200);
    expect((await fetch(`${await origin}/page/model/model.json`)).status).toBe(404);
  });

  test("notices a client that leaves", async () => {
    const { origin } = serve(FABLE, { PING_MS: "20" });
    const controller = new AbortController();
    const response = await fetch(`${await origin}/v1/completions`, {
      method: "POST",
      signal: controller.signal,
      body: JSON.stringify({ ...PROMPT, max_tokens: 200, ignore_eos: true, stream: true }),
    });
    await response.body!.getReader().read();
    controller.abort();
    await vi.waitFor(() => expect(log.join("\n")).toContain('"outcome":"client_gone"'), 10_000);
  });

  test.each([
    ["/v1/completions", { ...PROMPT, max_tokens: 400, n: 8, ignore_eos: true }],
    ["/v1/completions", { prompt: Array.from({ length: 64 }, (_, i) => Array(500).fill(i)), max_tokens: 1 }],
    ["/tokenize", { prompt: "a".repeat(1_000_000) }],
  ])("does nothing for a client that has left as soon as it had asked: %s %#", async (path, fields) => {
    const { port } = new URL(await serve(FABLE).origin);
    const body = JSON.stringify(fields);
    const socket = connect(Number(port), "127.0.0.1", () =>
      socket.write(
        `POST ${path} HTTP/1.1\r\nhost: x\r\nx-request-id: left\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
        () => socket.destroy(),
      ),
    );
    await vi.waitFor(() => expect(log.join("\n")).toContain('"request_id":"left"'), 30_000);
    const line = JSON.parse(log.find((one) => one.includes('"request_id":"left"'))!) as object;
    expect(line).toMatchObject({ status: 499, outcome: "client_gone" });
  });

  test("says in one line that a port is in use, that a directory is none, that a setting is wrong", async () => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
    const { port } = other.address() as AddressInfo;
    const cases: [string[], Record<string, string>, number, string][] = [
      [[...FABLE, "--port", String(port)], {}, 1, `port ${port} is in use`],
      [[...FABLE, "--host", "203.0.113.7"], {}, 1, "no address to listen on"],
      [["--model", join(temporary, "nothing")], {}, 1, "model.json"],
      [["--model", "nothing"], {}, 2, "no model of that name"],
      [FABLE, { MAX_TOKENS: "many" }, 1, "MAX_TOKENS"],
    ];
    for (const [args, environment, exit, says] of cases) {
      const { code, stderr } = serve(args, environment);
      expect(await code, says).toBe(exit);
      expect(stderr().trim().split("\n"), says).toEqual([expect.stringMatching(`^edgeformer: .*${says}`)]);
    }
    await new Promise((resolve) => other.close(resolve));
  });

  test("serves the story model where the default one cannot be had, and says so", async () => {
    const { origin, stderr, stop } = serve(["--offline"]);
    const facts = (await (await fetch(`${await origin}/page/facts.json`)).json()) as Facts;
    expect(facts.name).toBe("fable");
    expect(facts.standIn?.missing).toBe("SmolLM2-135M-Instruct");
    expect(stderr()).toContain("SmolLM2-135M-Instruct is not in the cache");
    expect(stderr()).toContain("/v1/completions");
    expect(await stop()).toBe(0);
  });
});

test("a seed has all of its 64 bits on plain Node, too, whatever stands around it", async () => {
  const origin = await serve(FABLE).origin;
  const model = await openModel(bundledModel());
  const ask = async (members: string) => {
    const response = await fetch(`${origin}/v1/completions`, {
      method: "POST",
      body: `{"prompt": "Once upon a time", "max_tokens": 16, ${members}}`,
    });
    return ((await response.json()) as { choices: { text: string }[] }).choices[0]?.text;
  };
  const expected = async (seed: bigint) =>
    (await model.complete("Once upon a time", { maxTokens: 16, seed })).text;
  const seed = 2n ** 53n + 1n;
  for (const members of [
    `"seed": ${seed}`,
    `"seed": 1, "se\\u0065d":${seed} , "stop": ["{\\"seed\\": 7", "}"]`,
    `"user": "\\\\\\"seed\\": 3, [{", "seed" : ${seed}, "logit_bias": {}`,
  ])
    expect(await ask(members), members).toBe(await expected(seed));
  expect(await ask(`"seed": -${2n ** 63n}`)).toBe(await expected(2n ** 63n));
  model.dispose();
});
