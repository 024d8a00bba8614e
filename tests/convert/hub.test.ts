import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { convert } from "../../src/convert/convert.ts";
import type { ConvertOptions } from "../../src/convert/convert-options.ts";
import { openGguf } from "../../src/convert/formats/gguf.ts";
import { localSource } from "../../src/convert/inputs/files.ts";
import { hubSource, isHubId } from "../../src/convert/inputs/hub.ts";
import { cli } from "../cli/run.ts";
import { temporaryDirectory } from "./checkpoints.ts";
import { ggufFile } from "./gguf-writer.ts";
import { COMMIT, HubServer } from "./hub-server.ts";

const VARIANTS = join(import.meta.dirname, "../fixtures/variants");
const ID = "someone/a-model";
const SIZE = statSync(join(VARIANTS, "gpt2-prefixed/model.safetensors")).size;
const temporary = temporaryDirectory();

let count = 0;
let server: HubServer | undefined;

afterEach(async () => {
  await server?.stop();
  server = undefined;
});

/** A fresh hub, an empty cache and a place to write to. */
async function hub(variant = "gpt2-prefixed", token?: string) {
  server = new HubServer(ID, join(VARIANTS, variant), token);
  const cacheDir = join(temporary, `cache-${++count}`);
  const options: ConvertOptions = {
    source: ID,
    out: join(temporary, `model-${count}`),
    hubUrl: await server.start(),
    cacheDir,
  };
  return { server, options, cacheDir, repository: join(cacheDir, "models--someone--a-model") };
}

function partial(repository: string): string | undefined {
  return readdirSync(join(repository, "blobs")).find((name) => name.endsWith(".incomplete"));
}

test("an id converts into the same model as its files", async () => {
  const { options, repository, server } = await hub();
  const progress: string[] = [];
  const manifest = await convert({ ...options, onProgress: (step) => progress.push(step) });
  expect(manifest.provenance).toMatchObject({ source: ID, revision: COMMIT });
  const local = await convert({ source: join(VARIANTS, "gpt2-prefixed"), out: join(temporary, "local") });
  expect(manifest.parts).toEqual(local.parts);
  expect(manifest.provenance.sha256).toBe(local.provenance.sha256);
  expect(new Set(progress)).toEqual(
    new Set(["downloading config.json", "downloading model.safetensors", "converting", "hashing the source"]),
  );
  expect(server.requests.every(({ authorization }) => authorization === undefined)).toBe(true);
  // The layout of Hugging Face's own cache: blobs, and links to them by commit.
  expect(readFileSync(join(repository, "refs/main"), "utf8")).toBe(COMMIT);
  expect(readdirSync(join(repository, "snapshots", COMMIT)).sort()).toEqual([
    "config.json",
    "model.safetensors",
  ]);
});

test("what is in the cache is not downloaded again, nor is the hub needed", async () => {
  const { options, server } = await hub();
  await convert(options);
  const before = server.requests.length;
  await convert({ ...options, out: `${options.out}-again` });
  expect(server.requests.slice(before).map(({ path }) => path)).toEqual([`/api/models/${ID}/revision/main`]);
  await server.stop();
  const warnings: string[] = [];
  const onWarning = (message: string) => warnings.push(message);
  const offline = await convert({ ...options, out: `${options.out}-offline`, onWarning });
  expect(offline.provenance.revision).toBe(COMMIT);
  expect(warnings[0]).toContain("could not be reached");
});

test("an index of shards is followed", async () => {
  const { options, server } = await hub("gpt2-sharded");
  await convert(options);
  for (let shard = 1; shard <= 4; shard++)
    expect(server.downloads(`model-0000${shard}-of-00004.safetensors`)).toHaveLength(1);
});

test("a revision can be a tag or a commit, and an unknown one is named", async () => {
  const { options, repository } = await hub();
  await convert({ ...options, revision: "v2" });
  expect(readdirSync(join(repository, "refs"))).toEqual(["v2"]);
  await convert({ ...options, out: `${options.out}-commit`, revision: COMMIT });
  await expect(convert({ ...options, out: `${options.out}-3`, revision: "v3" })).rejects.toMatchObject({
    code: "io",
    message: expect.stringContaining("check the id and the revision"),
  });
  await expect(convert({ ...options, out: `${options.out}-4`, revision: "../../x" })).rejects.toMatchObject({
    code: "invalid_option",
  });
});

describe("downloads that break off", () => {
  test("continue within a run", async () => {
    const { options, server } = await hub();
    server.breaks = { afterBytes: 50_000, times: 2 };
    await convert(options);
    const [first, second, third] = server.downloads("model.safetensors");
    expect(first).toBeUndefined();
    expect(second).toMatch(new RegExp(`^bytes=\\d+-${SIZE - 1}$`));
    expect(third).toMatch(new RegExp(`^bytes=\\d+-${SIZE - 1}$`));
    expect(Number(/\d+/.exec(third!)![0])).toBeGreaterThan(Number(/\d+/.exec(second!)![0]));
  });

  test("leave no model, and continue in the next run", async () => {
    const { options, repository, server } = await hub();
    server.breaks = { afterBytes: 10_000, times: 4 };
    await expect(convert(options)).rejects.toMatchObject({
      code: "io",
      message: expect.stringContaining("try again"),
    });
    expect(existsSync(options.out)).toBe(false);
    const have = statSync(join(repository, "blobs", partial(repository)!)).size;
    expect(have).toBeGreaterThan(0);
    await convert(options);
    expect(server.downloads("model.safetensors").at(-1)).toBe(`bytes=${have}-${SIZE - 1}`);
    expect(partial(repository)).toBeUndefined();
  });

  test("an interrupted one leaves no model either", async () => {
    const { options, repository } = await hub();
    const controller = new AbortController();
    const onProgress = (step: string, done: number) => {
      if (step === "downloading model.safetensors" && done > 0) controller.abort();
    };
    await expect(convert({ ...options, onProgress, signal: controller.signal })).rejects.toMatchObject({
      code: "aborted",
    });
    expect(existsSync(options.out)).toBe(false);
    await convert(options);
    expect(partial(repository)).toBeUndefined();
  });

  test("what arrives damaged is refused and fetched anew", async () => {
    const { options, repository, server } = await hub();
    server.corrupt = true;
    await expect(convert(options)).rejects.toMatchObject({
      code: "io",
      message: expect.stringContaining("damaged"),
    });
    expect(partial(repository)).toBeUndefined();
    expect(existsSync(options.out)).toBe(false);
    server.corrupt = false;
    await convert(options);
  });
});

describe("from the command line", () => {
  async function run(args: string[], environment: Record<string, string>) {
    const before = { ...process.env };
    Object.assign(process.env, environment);
    try {
      return await cli(args);
    } finally {
      process.env = before;
    }
  }

  test("a private repository needs a token, which is written nowhere", async () => {
    const { options, server, cacheDir } = await hub("gpt2-prefixed", "hf_secret");
    const environment = { HF_ENDPOINT: options.hubUrl!, HF_HUB_CACHE: cacheDir };
    const denied = await run(["convert", ID, "--out", options.out], environment);
    expect(denied).toMatchObject({ code: 1, stdout: "" });
    expect(denied.stderr).toContain("HF_TOKEN");
    expect(existsSync(options.out)).toBe(false);
    const allowed = await run(["convert", ID, "--out", options.out], {
      ...environment,
      HF_TOKEN: "hf_secret",
    });
    expect(allowed.code).toBe(0);
    expect(allowed.stderr + readFileSync(join(options.out, "model.json"), "utf8")).not.toContain("hf_secret");
    expect(server.downloads("model.safetensors")).toHaveLength(1);
  });

  test.each([
    ["it cannot be reached", "http://me:s3cret@127.0.0.1:9", 0],
    ["it refuses", undefined, 403],
    ["it fails", undefined, 500],
    ["all is well", undefined, 200],
  ])(
    "a password in the hub's address is sent as a header and shown nowhere, where %s",
    async (_, address, status) => {
      const { options, server, cacheDir } = await hub();
      const plain = new URL(options.hubUrl!);
      if (status !== 200) server.status = status;
      const { code, stdout, stderr } = await run(["convert", ID, "--out", options.out], {
        HF_ENDPOINT: address ?? `http://me:s3cret@${plain.host}`,
        HF_HUB_CACHE: cacheDir,
      });
      expect(code).toBe(status === 200 ? 0 : 1);
      const written = status === 200 ? readFileSync(join(options.out, "model.json"), "utf8") : "";
      expect(stdout + stderr + written).not.toMatch(/s3cret|me:|bWU6/);
      if (address === undefined)
        expect(new Set(server.requests.map(({ authorization }) => authorization))).toEqual(
          new Set([`Basic ${btoa("me:s3cret")}`]),
        );
    },
  );

  test.each([
    [401, "private"],
    [403, "accept the model's terms"],
    [404, "not found"],
    [500, "status 500"],
  ])("status %i is one clear sentence", async (status, sentence) => {
    const { options, server, cacheDir } = await hub();
    server.status = status;
    const { code, stderr } = await run(["convert", ID, "--out", options.out], {
      HF_ENDPOINT: options.hubUrl!,
      HF_HUB_CACHE: cacheDir,
    });
    expect(code).toBe(1);
    expect(stderr).toContain(sentence);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(existsSync(options.out)).toBe(false);
  });
});

test.each([
  ["endless", "more than was asked for"],
  ["stalled", "nothing came for 0.3 s"],
] as const)("an answer that is %s is given up", async (broken, reason) => {
  const { options, server, cacheDir } = await hub();
  server.broken = broken;
  const error = await hubSource(ID, { ...options, cacheDir, stallMs: 300 }).catch((thrown) => thrown);
  expect(error).toMatchObject({ name: "EdgeformerError", code: "io" });
  expect(error.message).toContain(reason);
});

test("names that lead out of the cache are none of the repository's", async () => {
  const { options, server, cacheDir } = await hub();
  server.more = ["../../../../x.gguf", "/x.gguf", "a/../../x.gguf", "a\\..\\x.gguf", "./x.gguf", "a\0.gguf"];
  const source = await hubSource(ID, { ...options, cacheDir });
  expect(await source.list(".gguf")).toEqual([]);
  for (const name of server.more)
    expect([await source.has(name), await source.file(name)]).toEqual([false, undefined]);
});

test("what opens the hub is not sent to where it leads on", async () => {
  for (const [token, user] of [
    ["hf_secret", ""],
    [undefined, "me:s3cret@"],
  ] as const) {
    const { options, server: first } = await hub("gpt2-prefixed", token);
    const elsewhere = new HubServer(ID, join(VARIANTS, "gpt2-prefixed"));
    first.cdn = await elsewhere.start();
    const hubUrl = options.hubUrl!.replace("//", `//${user}`);
    await convert({ ...options, hubUrl, ...(token && { token }) });
    expect(first.requests.every(({ authorization }) => authorization !== undefined)).toBe(true);
    expect(elsewhere.downloads("model.safetensors")).toHaveLength(1);
    expect(elsewhere.requests.every(({ authorization }) => authorization === undefined)).toBe(true);
    await elsewhere.stop();
    await first.stop();
  }
});

test("only what can be an id is looked for on the hub", async () => {
  expect(["gpt2", "openai-community/gpt2", "a/b.c_d-e"].every(isHubId)).toBe(true);
  expect(["", "../up", "/abs", "a/b/c", "./here", "a b", "a/..", "c:\\x", "a//b"].some(isHubId)).toBe(false);
  await expect(convert({ source: ID, out: join(temporary, "none"), token: "12345" })).rejects.toMatchObject({
    code: "invalid_option",
    param: "token",
  });
  await expect(convert({ source: "./not-there", out: join(temporary, "none") })).rejects.toMatchObject({
    code: "invalid_option",
    param: "source",
  });
});

describe("a file that is read in pieces", () => {
  const directory = join(temporary, "gguf");
  const name = "model.gguf";
  const data = Uint8Array.from({ length: 6_000_000 }, (_, i) => Math.imul(i, 2654435761) >>> 24);
  mkdirSync(directory);
  writeFileSync(
    join(directory, name),
    ggufFile({ tensors: [{ name: "a", dimensions: [1_500_000], type: 0, data }] }),
  );

  async function serve() {
    server = new HubServer(ID, directory);
    const hubUrl = await server.start();
    return { server, source: await hubSource(ID, { hubUrl, cacheDir: join(temporary, `cache-${++count}`) }) };
  }

  test("costs what is read of it, and is the same as on disk", async () => {
    const { server, source } = await serve();
    const remote = (await source.open(name))!;
    const local = (await (await localSource(directory))!.open(name))!;
    expect(remote).toMatchObject({ name, size: local.size });
    const { tensors } = await openGguf(remote);
    expect(server.downloads(name)).toEqual(["bytes=0-1048575"]);
    const [there, here] = [tensors.get("a")!, (await openGguf(local)).tensors.get("a")!];
    expect(await there.read(1_400_000, 1000)).toEqual(await here.read(1_400_000, 1000));
    const start = local.size - 400_000;
    expect(server.downloads(name).slice(1)).toEqual([`bytes=${start}-${start + 3999}`]);
    await expect(remote.read(local.size - 1, 2)).rejects.toThrow(`${name}: the file is truncated`);
    await local.close();
    expect(await source.open("missing.gguf")).toBeUndefined();
  });

  test("is read again when the connection breaks, and an error when it always does", async () => {
    const { server, source } = await serve();
    const remote = (await source.open(name))!;
    server.breaks = { afterBytes: 1000, times: 2 };
    expect((await remote.read(0, 20_000)).length).toBe(20_000);
    expect(server.downloads(name).length).toBe(3);
    server.status = 503;
    await expect(remote.read(0, 20_000)).rejects.toMatchObject({ code: "io" });
  });

  test("lists with sizes, there and here", async () => {
    const { source } = await serve();
    const expected = [{ name, size: statSync(join(directory, name)).size }];
    expect(await source.list(".gguf")).toEqual(expected);
    expect(await (await localSource(directory))!.list(".gguf")).toEqual(expected);
    expect(await source.list(".none")).toEqual([]);
  });
});
