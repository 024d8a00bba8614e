import { existsSync, mkdirSync, readdirSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { FORMAT_VERSION } from "../../src/format/manifest.ts";
import { loadManifest } from "../../src/loading/load.ts";
import { directorySource } from "../../src/node/index.ts";
import { CATALOGUE, DEFAULT_MODEL, findModelByName, modelByName } from "../../src/pull/catalogue.ts";
import { cacheFolder, modelFolder } from "../../src/pull/model-cache.ts";
import { type PullOptions, pull } from "../../src/pull/pull.ts";
import { cli } from "../cli/run.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";
import { HubServer } from "../convert/hub-server.ts";
import { CONTENT, contentsOf, FILE, ID, OTHER, SMALL, writePip, writeRepository } from "./small-model.ts";

const temporary = temporaryDirectory();
const PATH = process.env.PATH;
let count = 0;
let server: HubServer;
let home: string;
let options: PullOptions & { notes: string[] };

beforeEach(async () => {
  home = join(temporary, `home-${++count}`);
  server = new HubServer(ID, writeRepository(join(temporary, "repository")));
  const notes: string[] = [];
  options = { home, hubUrl: await server.start(), reachMs: 1000, notes, onNote: (note) => notes.push(note) };
  // Without a pip, unless a test has one.
  process.env.PATH = writePip(join(temporary, "no-pip"));
});
afterEach(async () => {
  process.env.PATH = PATH;
  await server.stop();
});

function withPip(content?: Uint8Array, wait = 0): void {
  process.env.PATH = [writePip(join(temporary, `pip-${count}`), content, wait), PATH].join(delimiter);
}

/** What a pull without trouble leaves in the cache. */
async function expectedContents(): Promise<Record<string, string>> {
  return contentsOf(await pull(SMALL, { ...options, home: `${home}-undisturbed` }));
}

/** The model is there, whole, and nothing else. */
async function expectOnlyTheModel(directory: string): Promise<void> {
  expect(directory).toBe(join(home, "models", `Small-format-${FORMAT_VERSION}`));
  expect(
    readdirSync(home, { recursive: true }).filter((path) => /partial|\.lock|hub|wheel/.test(String(path))),
  ).toEqual([]);
  expect(contentsOf(directory)).toEqual(await expectedContents());
}

describe("a pull", () => {
  test("fetches from the hub, converts, and leaves the model and nothing else", async () => {
    const steps: string[] = [];
    const directory = await pull(SMALL, { ...options, onProgress: (step) => steps.push(step) });
    await expectOnlyTheModel(directory);
    const manifest = await loadManifest(directorySource(directory));
    expect(manifest).toMatchObject({ name: "Small", generation: { temperature: 0.5 } });
    expect(new Set(steps)).toEqual(new Set([`downloading ${FILE}`, "hashing the source", "converting"]));
    expect(options.notes).toEqual([]);
  });

  test("asks nobody for what is in the cache", async () => {
    const directory = await pull(SMALL, options);
    const before = server.requests.length;
    expect(await pull(SMALL, options)).toBe(directory);
    expect(await pull(SMALL, { ...options, offline: true, verify: true })).toBe(directory);
    expect(server.requests).toHaveLength(before);
  });

  test("goes to pip where the hub has no such model, another file or no answer", async () => {
    withPip(CONTENT);
    const expected = await expectedContents();
    delete expected["model.json"];
    const troubles: [string, () => void][] = [
      ["not found", () => (server.status = 404)],
      ["another file", () => Object.assign(server, { status: undefined }).replace(FILE, OTHER)],
      ["no answer within 0.3 s", () => (server.isSilent = true)],
    ];
    for (const [says, trouble] of troubles) {
      trouble();
      const found = await pull(SMALL, { ...options, reachMs: 300, home: `${home}-${says}` });
      expect(options.notes.at(-1)).toContain(says);
      expect(contentsOf(found)).toMatchObject({ ...expected, "README.md": expect.any(String) });
      expect(server.downloads(FILE).length, says).toBe(1);
    }
  });

  test("gives up a source that does not answer, and says what to do if there is no other", async () => {
    server.isSilent = true;
    withPip(undefined, 60);
    const started = performance.now();
    await expect(pull(SMALL, { ...options, reachMs: 500 })).rejects.toMatchObject({
      code: "io",
      message: "Small could not be fetched from the hub or pip; connect to the internet and try again",
    });
    expect(performance.now() - started).toBeLessThan(20_000);
    expect(options.notes).toEqual([
      expect.stringContaining("no answer within 0.5 s"),
      expect.stringMatching(/^pip found nothing within 0\.[2-4] s$/),
    ]);
  });

  test("uses no other file, whoever sends it", async () => {
    server.replace(FILE, OTHER);
    withPip(OTHER);
    await expect(pull(SMALL, options)).rejects.toMatchObject({ code: "io" });
    expect(options.notes).toEqual([
      expect.stringContaining("another file"),
      expect.stringContaining("its SHA-256 is"),
    ]);
    expect(
      readdirSync(home, { recursive: true }).filter((path) => !/^(models|downloads)$/.test(String(path))),
    ).toEqual([]);
  });

  test("repairs a model that is not whole, and one whose hash is wrong if it is asked to look", async () => {
    const directory = await pull(SMALL, options);
    truncateSync(join(directory, "tokenizer.bin"), 100);
    await expectOnlyTheModel(await pull(SMALL, options));
    const weights = join(directory, "weights.00.bin");
    const bytes = Buffer.from(contentsOf(directory)["weights.00.bin"]!, "base64");
    bytes[1000]! ^= 1;
    writeFileSync(weights, bytes);
    await pull(SMALL, options);
    expect(contentsOf(directory)["weights.00.bin"]).toBe(bytes.toString("base64"));
    await expectOnlyTheModel(await pull(SMALL, { ...options, verify: true }));
    writeFileSync(join(directory, "model.json"), "{");
    await expectOnlyTheModel(await pull(SMALL, options));
  });

  test("deletes nothing that somebody keeps where it works", async () => {
    const directory = await pull(SMALL, options);
    truncateSync(join(directory, "weights.00.bin"), 10);
    const kept = [join(directory, "mine.txt"), join(home, "downloads/Small/mine.txt")];
    mkdirSync(join(home, "downloads/Small"), { recursive: true });
    for (const file of kept) writeFileSync(file, "mine");
    await expect(pull(SMALL, options)).rejects.toThrow("choose another");
    expect(kept.every((file) => existsSync(file))).toBe(true);
    rmSync(kept[0]!);
    expect(await pull(SMALL, options)).toBe(directory);
    expect(readdirSync(join(home, "downloads/Small"))).toEqual(["mine.txt"]);
  });

  test("offline says what is missing", async () => {
    await expect(pull(SMALL, { ...options, offline: true })).rejects.toMatchObject({
      code: "io",
      message: expect.stringContaining("edgeformer pull Small"),
    });
    expect(existsSync(home)).toBe(false);
  });

  test("stops when it is told to, and goes on the next time", async () => {
    server.pace = { bytes: 2000, ms: 10 };
    const controller = new AbortController();
    const onProgress = (_: string, done: number) => {
      if (done > 8000) controller.abort();
    };
    await expect(pull(SMALL, { ...options, onProgress, signal: controller.signal })).rejects.toMatchObject({
      code: "aborted",
    });
    await expectOnlyTheModel(await pull(SMALL, options));
    expect(server.downloads(FILE)[1]).toMatch(/^bytes=[1-9]\d*-/);
  });

  test("says that the disk is full where pip finds it so, and asks nobody else", async () => {
    server.status = 404;
    const folder = writePip(join(temporary, "full"));
    const script =
      '#!/bin/sh\n[ "$3" = "--version" ] && exit 0\necho "OSError: [Errno 28] No space left on device" >&2; exit 2\n';
    writeFileSync(join(folder, "python3"), script);
    process.env.PATH = [folder, PATH].join(delimiter);
    await expect(pull(SMALL, options)).rejects.toMatchObject({ code: "ENOSPC" });
  });

  test("passes on what the file system refuses", async () => {
    writeFileSync(home, "a file where a folder should be");
    await expect(pull(SMALL, { ...options, home: join(home, "below") })).rejects.toMatchObject({
      code: "ENOTDIR",
    });
  });
});

describe("the catalogue", () => {
  test("knows its models by name, the default one among them", () => {
    expect(modelByName(DEFAULT_MODEL)).toMatchObject({ license: "Apache-2.0", bytes: 98_362_432 });
    expect(findModelByName("SMOLLM2-135m-instruct")?.name).toBe(DEFAULT_MODEL);
    expect(() => modelByName("gpt-5")).toThrow("the catalogue has SmolLM2-135M-Instruct, distilgpt2");
    // A model without a hash of its own can come from the hub only.
    for (const { wheel, sha256 } of CATALOGUE) expect(wheel === undefined || sha256 !== undefined).toBe(true);
  });

  test("keeps models where it is told to, or where the platform keeps caches", () => {
    expect(cacheFolder({ EDGEFORMER_HOME: "/models" })).toBe("/models");
    expect(cacheFolder({})).toMatch(/edgeformer/);
    expect(modelFolder("/models", SMALL)).toBe(join("/models/models", `Small-format-${FORMAT_VERSION}`));
    if (process.platform === "linux") expect(cacheFolder({ XDG_CACHE_HOME: "/c" })).toBe("/c/edgeformer");
  });
});

describe("from the command line", () => {
  async function run(...args: string[]) {
    const before = { ...process.env };
    Object.assign(process.env, { EDGEFORMER_HOME: home, HF_ENDPOINT: options.hubUrl });
    try {
      return await cli(args);
    } finally {
      process.env = before;
    }
  }

  test("the list says what each is and where it comes from", async () => {
    const { code, stdout } = await run("pull", "--list");
    expect(code).toBe(0);
    for (const { name, hub, license } of CATALOGUE)
      for (const word of [name, hub.id, license]) expect(stdout).toContain(word);
  });

  test("a model that cannot be had is one line at the end and exit code 1, and nothing is left", async () => {
    for (const args of [
      ["pull"],
      ["pull", "--offline"],
      ["chat", "Hello"],
      ["generate", "a", "--model", DEFAULT_MODEL],
    ]) {
      const { code, stdout, stderr } = await run(...args);
      expect({ code, stdout }, args.join(" ")).toEqual({ code: 1, stdout: "" });
      expect(stderr.trim().split("\n").at(-1)).toMatch(
        /^edgeformer: SmolLM2-135M-Instruct (could not|is not)/,
      );
      rmSync(home, { recursive: true, force: true });
    }
  });

  test("a name that is none is wrong usage", async () => {
    for (const args of [
      ["pull", "gpt-5"],
      ["inspect", "gpt-5"],
      ["chat", "Hello", "--model", "gpt-5"],
    ]) {
      const { code, stderr } = await run(...args);
      expect(code).toBe(2);
      expect(stderr).toContain("SmolLM2-135M-Instruct");
    }
  });
});
