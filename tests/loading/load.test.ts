import { createHash } from "node:crypto";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import { Engine } from "../../src/engine/engine.ts";
import { EdgeformerError, fetchSource, type LoadOptions, loadModel, loadTokenizer } from "../../src/index.ts";
import { bundledModel, engineModule, openModel } from "../../src/node/index.ts";
import { FakeSource, type Files, flipped, fourParts, PARTS } from "./directory.ts";

let files: Files;
let expected: string;

beforeAll(async () => {
  files = await fourParts();
  const model = await openModel(bundledModel());
  expected = (await model.complete("Once upon a time", { maxTokens: 8, temperature: 0 })).text;
});

const load = async (options: Omit<LoadOptions, "module">) =>
  loadModel({ module: await engineModule(), maxSequences: 1, ...options });

async function textOf(options: Omit<LoadOptions, "module">): Promise<string> {
  const model = await load(options);
  return (await model.complete("Once upon a time", { maxTokens: 8, temperature: 0 })).text;
}

async function failure(promise: Promise<unknown>): Promise<EdgeformerError> {
  const error = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(EdgeformerError);
  return error as EdgeformerError;
}

describe("parts", () => {
  test("are read in order, the next one's stream open before the last has ended, and no other", async () => {
    const source = new FakeSource(files);
    expect(await textOf({ source })).toBe(expected);
    const [a, b, c, d] = PARTS;
    expect(source.record).toEqual([
      "open model.json",
      "read model.json",
      "close model.json",
      "open tokenizer.bin",
      "read tokenizer.bin",
      "close tokenizer.bin",
      ...[`open ${a}`, `open ${b}`, `read ${a}`, `close ${a}`],
      ...[`open ${c}`, `read ${b}`, `close ${b}`],
      ...[`open ${d}`, `read ${c}`, `close ${c}`],
      ...[`read ${d}`, `close ${d}`],
    ]);
    expect(source.mostOpen).toBe(2);
  });

  test.each([1, 63, 64, 65, 4096, 1_000_003].map((bytes) => [bytes]))(
    "whatever the size of the chunks: %i bytes",
    async (bytes) => {
      const small = bytes < 64 ? cut(files, 64 * bytes) : files;
      const source = new FakeSource(small, bytes);
      if (small === files) expect(await textOf({ source })).toBe(expected);
      // A part of a few bytes only goes through the digest.
      else expect((await failure(load({ source }))).message).toContain(PARTS[0]);
    },
  );

  test("progress tells the file, from nothing to everything", async () => {
    const seen: [number, number, string][] = [];
    await load({
      source: new FakeSource(files),
      onProgress: (loaded, total, file) => void seen.push([loaded, total, file]),
    });
    const total = PARTS.reduce((sum, file) => sum + files.get(file)!.length, 0);
    expect(seen[0]).toEqual([0, total, PARTS[0]]);
    expect(seen.at(-1)).toEqual([total, total, PARTS[3]]);
    expect(seen.map(([loaded]) => loaded)).toEqual(seen.map(([loaded]) => loaded).sort((x, y) => x - y));
    expect([...new Set(seen.map(([, , file]) => file))]).toEqual(PARTS);
  });
});

/** The same directory with its first part ended after `bytes`. */
function cut(whole: Files, bytes: number): Files {
  return new Map(whole).set(PARTS[0]!, whole.get(PARTS[0]!)!.slice(0, bytes));
}

describe("the tokenizer", () => {
  test("can be had without the weights", async () => {
    const source = new FakeSource(files);
    const tokenizer = await loadTokenizer(source);
    expect(tokenizer.decode(tokenizer.encode("Once upon a time"))).toBe("Once upon a time");
    expect(source.record.filter((line) => line.startsWith("open"))).toEqual([
      "open model.json",
      "open tokenizer.bin",
    ]);
  });

  test.each<[string, (bytes: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>, string]>([
    ["truncated", (bytes) => bytes.slice(0, -1), "ends after"],
    ["too long", (bytes) => new Uint8Array(bytes.length + 1), "longer than"],
    ["changed", (bytes) => flipped(bytes, 1000), "SHA-256"],
  ])("that is %s is refused before any weights are read", async (_, damage, message) => {
    const damaged = new Map(files).set("tokenizer.bin", damage(files.get("tokenizer.bin")!));
    const source = new FakeSource(damaged);
    const error = await failure(load({ source }));
    expect(error.code).toBe("invalid_model");
    expect(error.message).toContain(message);
    expect(source.record.some((line) => line.includes("weights"))).toBe(false);
  });

  test("lays out a conversation by the model's chat template", async () => {
    const manifest = JSON.parse(new TextDecoder().decode(files.get("model.json")));
    const open = (chat_template?: string) => {
      const json = new TextEncoder().encode(JSON.stringify({ ...manifest, chat_template }));
      return loadTokenizer(new FakeSource(new Map(files).set("model.json", json)));
    };
    const messages = [{ role: "user", content: "Hi<|endoftext|>" }];
    const tokenizer = await open("{{ bos_token }}{{ messages[0].content }}{{ suffix }}");
    const ids = await tokenizer.applyChatTemplate(messages, { suffix: "!" });
    expect(ids[0]).toBe(50256);
    expect(ids.filter((id) => id === 50256)).toHaveLength(1);
    expect(tokenizer.decode(ids)).toBe("<|endoftext|>Hi<|endoftext|>!");
    expect((await failure((await open()).applyChatTemplate(messages))).code).toBe("unsupported_model");
  });

  test("of a model without one is refused", async () => {
    const manifest = JSON.parse(new TextDecoder().decode(files.get("model.json")));
    const json = new TextEncoder().encode(JSON.stringify({ ...manifest, tokenizer: null }));
    const error = await failure(loadTokenizer(new FakeSource(new Map(files).set("model.json", json))));
    expect(error.code).toBe("unsupported_model");
  });
});

describe("a page that is no secure context, whose browser has no crypto.subtle,", () => {
  afterEach(() => vi.unstubAllGlobals());

  test("is told what to do, and reads no weights", async () => {
    vi.stubGlobal("crypto", { getRandomValues: crypto.getRandomValues.bind(crypto) });
    const source = new FakeSource(files);
    const error = await failure(load({ source }));
    expect(error.code).toBe("unsupported_runtime");
    expect(error.message).toMatch(/https.*`digest`/);
    expect(source.record.some((line) => line.includes("weights"))).toBe(false);
    expect(source.stillOpen).toEqual(new Set());
  });

  test("loads with a digest of its own, and refuses what is wrong by it", async () => {
    vi.stubGlobal("crypto", { getRandomValues: crypto.getRandomValues.bind(crypto) });
    const digest = () => {
      const hash = createHash("sha256");
      return { update: (bytes: Uint8Array) => void hash.update(bytes), digest: () => hash.digest() };
    };
    expect(await textOf({ source: new FakeSource(files), digest })).toBe(expected);
    const damaged = new Map(files).set("tokenizer.bin", flipped(files.get("tokenizer.bin")!, 1000));
    expect((await failure(load({ source: new FakeSource(damaged), digest }))).message).toContain("SHA-256");
  });
});

describe("what is wrong with a part is told with its name, and every stream is let go of", () => {
  const damages: [name: string, damage: (files: Files, file: string) => void, code: string][] = [
    ["missing", (all, file) => void all.delete(file), "io"],
    ["truncated", (all, file) => void all.set(file, all.get(file)!.slice(0, -1)), "invalid_model"],
    [
      "too long",
      (all, file) => void all.set(file, new Uint8Array(all.get(file)!.length + 1)),
      "invalid_model",
    ],
    ["first byte", (all, file) => void all.set(file, flipped(all.get(file)!, 0)), "invalid_model"],
    [
      "last byte",
      (all, file) => void all.set(file, flipped(all.get(file)!, all.get(file)!.length - 1)),
      "invalid_model",
    ],
    ["empty", (all, file) => void all.set(file, new Uint8Array(0)), "invalid_model"],
  ];
  const digests: [string, LoadOptions["digest"]][] = [
    ["the default", undefined],
    [
      "Node's",
      () => {
        const hash = createHash("sha256");
        return { update: (bytes) => void hash.update(bytes), digest: async () => hash.digest() };
      },
    ],
  ];
  for (const [digestName, digest] of digests)
    for (const file of PARTS)
      test.each(damages)(`${file} %s, by ${digestName}`, async (_, damage, code) => {
        const damaged: Files = new Map(files);
        damage(damaged, file);
        const source = new FakeSource(damaged);
        const options = digest ? { source, digest } : { source };
        const error = await failure(load(options));
        expect(error.code).toBe(code);
        expect(error.message).toContain(file);
        await new Promise((resolve) => setImmediate(resolve));
        expect(source.stillOpen).toEqual(new Set());
        // Mended, the same call works.
        expect(await textOf({ ...options, source: new FakeSource(files) })).toBe(expected);
      });

  test("a stream that breaks in the middle", async () => {
    const source = new FakeSource(files, 100_000, (file, chunk) => {
      if (file === PARTS[2] && chunk === 3) throw new TypeError("connection reset");
    });
    const error = await failure(load({ source }));
    expect(error).toMatchObject({ code: "io" });
    expect(error.message).toContain(PARTS[2]);
    expect(error.message).toContain("connection reset");
    await new Promise((resolve) => setImmediate(resolve));
    expect(source.stillOpen).toEqual(new Set());
  });

  test("an error of onProgress ends the load", async () => {
    const source = new FakeSource(files);
    const onProgress = (loaded: number) => {
      if (loaded > 1_000_000) throw new EdgeformerError("overloaded", "enough");
    };
    expect(await failure(load({ source, onProgress }))).toMatchObject({ code: "overloaded" });
    await new Promise((resolve) => setImmediate(resolve));
    expect(source.stillOpen).toEqual(new Set());
  });
});

test("a failed load leaves its memory to the next try of the same model, and to no other", async () => {
  // The spy also keeps the engines from being collected.
  const writes = vi.spyOn(Engine.prototype, "writeWeights");
  try {
    const engines = () => new Set(writes.mock.contexts).size;
    const damaged: Files = new Map(files).set(PARTS[3]!, flipped(files.get(PARTS[3]!)!, 0));
    for (let i = 0; i < 3; i++) await failure(load({ source: new FakeSource(damaged) }));
    expect(engines()).toBe(1);
    await failure(load({ source: new FakeSource(damaged), context: 64 }));
    expect(engines()).toBe(2);
    await failure(load({ source: new FakeSource(damaged) }));
    const before = engines();
    expect(await textOf({ source: new FakeSource(files) })).toBe(expected);
    expect(engines()).toBe(before);
    // A model that was handed out keeps its engine to itself.
    expect(await textOf({ source: new FakeSource(files) })).toBe(expected);
    expect(engines()).toBe(before + 1);
  } finally {
    writes.mockRestore();
  }
});

test.each([-1, 8, 0.5, Number.NaN])("guesses per step: %s is no number of them", async (promptLookup) => {
  expect(await failure(load({ source: new FakeSource(files), promptLookup }))).toMatchObject({
    code: "invalid_option",
    param: "promptLookup",
  });
});

describe("an abort", () => {
  test("ends a load whose source hangs and does not listen", async () => {
    const abort = new AbortController();
    const source = new FakeSource(files, 100_000, (file, chunk) => {
      if (file !== PARTS[1] || chunk !== 2) return;
      setImmediate(() => abort.abort());
      return new Promise(() => {});
    });
    const error = await failure(load({ source, signal: abort.signal }));
    expect(error).toMatchObject({ code: "aborted" });
    expect(error.message).toContain(PARTS[1]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(source.stillOpen).toEqual(new Set());
  });

  test("before the start reads nothing but what it cancels", async () => {
    const source = new FakeSource(files);
    expect(await failure(load({ source, signal: AbortSignal.abort() }))).toMatchObject({ code: "aborted" });
    expect(source.record).not.toContain("read model.json");
  });
});

describe("fetchSource", () => {
  const base = "https://models.example/dir/";
  const answer = (make: (bytes: Uint8Array<ArrayBuffer>) => BodyInit) => async (url: string) => {
    const bytes = files.get(url.slice(base.length));
    return bytes ? new Response(make(bytes)) : new Response("no", { status: 404 });
  };

  test("byte streams, which fill our buffer, and others, whose chunks are their own", async () => {
    const bodies: ((bytes: Uint8Array<ArrayBuffer>) => BodyInit)[] = [
      (bytes) => bytes,
      (bytes) => new Blob([bytes]).stream(),
      (bytes) => {
        let at = 0;
        return new ReadableStream({
          pull(controller) {
            controller.enqueue(bytes.slice(at, (at += 70_000)));
            if (at >= bytes.length) controller.close();
          },
        });
      },
      (bytes) => {
        let at = 0;
        return new ReadableStream({
          type: "bytes",
          pull(controller) {
            controller.enqueue(bytes.slice(at, (at += 70_000)));
            if (at >= bytes.length) controller.close();
          },
        } as UnderlyingByteSource);
      },
    ];
    for (const body of bodies)
      expect(await textOf({ source: fetchSource(base.slice(0, -1), answer(body)) })).toBe(expected);
  });

  test("a stream that is left is cancelled, read or not", async () => {
    const cancelled: string[] = [];
    const source = fetchSource(base, async (url) => {
      const file = url.slice(base.length);
      if (!PARTS.includes(file)) return new Response(files.get(file));
      return new Response(
        new ReadableStream({
          pull: (controller) => controller.enqueue(new Uint8Array(100_000)),
          cancel: () => void cancelled.push(file),
        }),
      );
    });
    expect((await failure(load({ source }))).message).toContain(PARTS[0]);
    await new Promise((resolve) => setImmediate(resolve));
    expect(cancelled.sort()).toEqual(PARTS.slice(0, 2));
  });

  test.each([
    [404, "invalid_model"],
    [500, "io"],
    [206, "io"],
  ])("status %i is %s", async (status, code) => {
    const source = fetchSource(base, async (url) =>
      url.endsWith(PARTS[1]!) ? new Response("x", { status }) : answer((bytes) => bytes)(url),
    );
    const error = await failure(load({ source }));
    expect(error.code).toBe(code);
    expect(error.message).toContain(PARTS[1]);
    expect(error.message).toContain(String(status));
  });

  test("sends a name and a password as a header and shows them nowhere", async () => {
    const asked: unknown[] = [];
    const source = fetchSource("https://m%C3%A4x:s3cret%3A%2F@example.com/model", async (url, init) => {
      asked.push(url, init?.headers);
      return new Response("", { status: 403 });
    });
    const failure = await loadTokenizer(source).then(
      () => undefined,
      (error: Error) => error,
    );
    expect(asked).toEqual([
      "https://example.com/model/model.json",
      { authorization: `Basic ${Buffer.from("mäx:s3cret:/").toString("base64")}` },
    ]);
    expect(failure?.message).toContain("https://example.com/model/model.json answered with status 403");
    expect(source.name).toBe("https://example.com/model/");
    expect(fetchSource("https://me:100%@example.com/").name).toBe("https://example.com/");
    const unreachable = await fetchSource("https://me:s3cret@example.invalid/")
      .open("model.json")
      .then(String, String);
    expect(unreachable).toContain("cannot be fetched");
    expect(`${failure} ${unreachable}`).not.toMatch(/s3cret|m%C3/);
  });

  test("sends a password to the address's own origin, and to none that it is redirected to", async () => {
    const password = `Basic ${btoa("me:s3cret")}`;
    const asked: [server: string, url: string | undefined, authorization: string | undefined][] = [];
    const serve = async (name: string, to: (path: string) => string | undefined) => {
      const server = createServer(({ url, headers }, response) => {
        asked.push([name, url, headers.authorization]);
        const location = to(url ?? "");
        response.writeHead(location === undefined ? 200 : 302, location === undefined ? {} : { location });
        response.end("{}");
      });
      await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
      const { port } = server.address() as AddressInfo;
      return { port, close: () => server.close() };
    };
    const elsewhere = await serve("elsewhere", (path) =>
      path === "/back" ? `http://127.0.0.1:${home.port}/end` : undefined,
    );
    const home = await serve("home", (path) =>
      path === "/model.json"
        ? "/moved"
        : path === "/moved"
          ? `http://localhost:${elsewhere.port}/back`
          : path === "/loop"
            ? "/loop"
            : undefined,
    );
    const source = fetchSource(`http://me:s3cret@127.0.0.1:${home.port}`);
    const { value } = await (await source.open("model.json"))[Symbol.asyncIterator]().next();
    expect(new TextDecoder().decode(value)).toBe("{}");
    expect(asked).toEqual([
      ["home", "/model.json", password],
      ["home", "/moved", password],
      ["elsewhere", "/back", undefined],
      ["home", "/end", undefined],
    ]);
    await expect(source.open("loop")).rejects.toThrow("answered with status 302");
    home.close();
    elsewhere.close();
  });
});
