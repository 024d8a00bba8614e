// Clients that ask for all that the limits allow, or break off, or never end: what a Worker on the open net meets.
import { Agent, request } from "node:http";
import { connect } from "node:net";
import { setTimeout } from "node:timers/promises";
import type { RunningWorker } from "../worker/harness.ts";

/** What a hostile client does again and again, until the signal fires. */
interface Attack {
  name: string;
  /** Bytes that an answer may have. [no matter] */
  mostBytes?: number;
  /** A line of the statuses: it asks for more than the limits allow, and has to be told so. */
  told?: string;
  /** How many clients do it. */
  clients: number;
  round(attacker: Attacker): Promise<void>;
}

/** A connection is used again, as browsers and SDKs do. */
const CONNECTIONS = new Agent({ keepAlive: true });

/** A client with a key of its own, and what it was answered. */
export class Attacker {
  readonly #worker: RunningWorker;
  readonly #key: string;
  readonly #statuses: Map<string, number>;
  readonly signal: AbortSignal;
  rounds = 0;
  /** Bytes of the longest answer that was read whole. */
  longestAnswer = 0;

  constructor(worker: RunningWorker, key: string, statuses: Map<string, number>, signal: AbortSignal) {
    this.#worker = worker;
    this.#key = key;
    this.#statuses = statuses;
    this.signal = signal;
  }

  #count(name: string, status: number, retryAfter: string | null): void {
    const line = `${name} ${status}${status >= 500 && retryAfter === null ? " without Retry-After" : ""}`;
    this.#statuses.set(line, (this.#statuses.get(line) ?? 0) + 1);
  }

  /** Sends a request and reads up to `limit` bytes of its answer, then leaves. */
  async send(
    name: string,
    path: string,
    body: string | null,
    limit = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    // Whoever only knocks costs what a knock costs, on any server; this is about what they ask for.
    await setTimeout(100);
    if (this.signal.aborted) return;
    // Not fetch: in Node 20 a fetch may outlive its signal, once the garbage collector has been there.
    const asking = request(new URL(path, this.#worker.url), {
      method: body === null ? "GET" : "POST",
      agent: CONNECTIONS,
      headers: { authorization: `Bearer ${this.#key}` },
    });
    let hasLeft = false;
    const leave = () => {
      hasLeft = true;
      asking.destroy();
    };
    this.signal.addEventListener("abort", leave);
    asking.on("response", (response) => {
      this.#count(name, response.statusCode!, response.headers["retry-after"] ?? null);
      let bytes = 0;
      response.on("data", (piece: Buffer) => {
        if ((bytes += piece.length) > limit) leave();
      });
      response.on("end", () => {
        this.longestAnswer = Math.max(this.longestAnswer, bytes);
      });
    });
    asking.on("error", () => {
      // A connection that is used again may just be closing; whoever attacks takes another one.
      if (!hasLeft) this.#count(name, 0, null);
    });
    asking.end(body ?? undefined);
    await new Promise((resolve) => asking.on("close", resolve));
    this.signal.removeEventListener("abort", leave);
  }

  /** Sends a head and the first bytes of a body, and then nothing until the server gives up. */
  stall(name: string, path: string, length: number, sent: number): Promise<void> {
    if (this.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const stop = () => socket.destroy();
      const socket = connect(Number(this.#worker.url.port), "127.0.0.1", () => {
        socket.write(`POST ${path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${this.#key}\r\n`);
        socket.write(`content-length: ${length}\r\n\r\n{"prompt": "${"a".repeat(sent)}`);
      });
      socket.once("data", (data) => {
        const head = String(data);
        const retryAfter = /^retry-after: (\S+)/im.exec(head)?.[1] ?? null;
        this.#count(name, Number(head.slice(9, 12)), retryAfter);
        socket.destroy();
      });
      socket.on("error", () => {});
      socket.on("close", () => {
        this.signal.removeEventListener("abort", stop);
        resolve();
      });
      this.signal.addEventListener("abort", stop);
    });
  }
}

const json = JSON.stringify;
const long = { max_tokens: 500, ignore_eos: true };
const WORDS = Array.from({ length: 4000 }, (_, i) => `word${(i * 7919) % 4001}`).join(" ");
const MEGABYTE = json({ prompt: `${WORDS} `.repeat(40).slice(0, 1_040_000) });
const MANY_TOKENS = json({ prompt: "a b ".repeat(30_000) });
const LONGEST = json({ tokens: Array(65_536).fill(35_496) });
const MESSAGES = json({
  messages: Array.from({ length: 1000 }, (_, i) => ({ role: i % 2 ? "assistant" : "user", content: "a" })),
});
const BIASES = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [String(i * 11), (i % 200) - 100]));
const prompts = (count: number, n: number) =>
  Array.from({ length: count }, (_, i) => `Once upon a time there were ${n * 100 + i}`);
const tokens = (length: number, n: number) =>
  Array.from({ length }, (_, i) => 1 + ((i * 31 + n * 17) % 9000));
const times = (count: number, call: (i: number) => Promise<void>) =>
  Promise.all(Array.from({ length: count }, (_, i) => call(i))).then(() => {});

/** All of it at once, 20 clients together. */
export const ATTACKS: Attack[] = [
  {
    name: "128 long texts in one request",
    clients: 4,
    round: (one) =>
      one.send(
        "texts",
        "/v1/completions",
        json({ prompt: prompts(8, one.rounds), n: 16, ...long, stream: true }),
      ),
  },
  {
    name: "log-probabilities of everything",
    clients: 2,
    round: (one) =>
      times(4, (i) =>
        one.send(
          "logprobs",
          "/v1/completions",
          json({
            prompt: [tokens(400, i), tokens(400, i + 9)],
            echo: true,
            logprobs: 5,
            n: 2,
            max_tokens: 100,
          }),
        ),
      ),
  },
  {
    name: "texts of a megabyte",
    clients: 2,
    mostBytes: 1_100_000,
    round: (one) => one.send("tokenize", "/tokenize", one.rounds % 2 ? MEGABYTE : MANY_TOKENS),
  },
  {
    name: "the longest token",
    clients: 1,
    told: "detokenize 400",
    mostBytes: 1_100_000,
    round: (one) => one.send("detokenize", "/detokenize", LONGEST),
  },
  {
    name: "uploads that stall",
    clients: 2,
    round: (one) => times(8, () => one.stall("stall", "/v1/completions", 1_000_000, 900_000)),
  },
  {
    name: "a thousand messages",
    clients: 1,
    told: "messages 400",
    round: (one) => one.send("messages", "/v1/chat/completions", MESSAGES),
  },
  {
    name: "a thousand biases",
    clients: 1,
    round: (one) =>
      one.send(
        "biases",
        "/v1/completions",
        json({ prompt: "Once", n: 16, ...long, logit_bias: BIASES, frequency_penalty: 1, stop: ["qqqq"] }),
      ),
  },
  {
    name: "clients that leave",
    clients: 2,
    round: (one) =>
      times(4, (i) =>
        one.send(
          "leave",
          "/v1/completions",
          json({ prompt: tokens(200, i), n: 8, ...long, max_tokens: 300, stream: true }),
          600,
        ),
      ),
  },
  {
    name: "prompts as long as the context",
    clients: 2,
    round: (one) =>
      times(8, (i) =>
        one.send(
          "prefill",
          "/v1/completions",
          json({ prompt: tokens(511, one.rounds * 8 + i), max_tokens: 1 }),
        ),
      ),
  },
  {
    name: "many small requests",
    clients: 2,
    round: (one) =>
      times(24, (i) => one.send("small", "/v1/completions", json({ prompt: `Tom ${i}`, max_tokens: 40 }))),
  },
  {
    name: "open routes, and bodies that never end",
    clients: 1,
    round: async (one) => {
      await one.send("open", "/openapi.json", null);
      await one.send("open", "/ready", null);
      await times(4, () => one.stall("endless", "/health", 1_000_000_000, 100));
    },
  },
];
