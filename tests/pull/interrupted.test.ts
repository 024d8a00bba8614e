// Pulls that are killed, cut short or lied to: the next one succeeds, and nothing unverified is ever there to be used.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { build } from "esbuild";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { isCached, modelFolder } from "../../src/pull/model-cache.ts";
import { type PullOptions, pull } from "../../src/pull/pull.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";
import { HubServer } from "../convert/hub-server.ts";
import { CONTENT, contentsOf, FILE, ID, OTHER, SMALL, writePip, writeRepository } from "./small-model.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
/** A pull in a process of its own, which says when it begins. */
const PROGRAM = `
import { pull } from "./src/pull/pull.ts";
process.stdout.write("begins\\n");
await pull(JSON.parse(process.argv[2]), JSON.parse(process.argv[3]));`;

const temporary = temporaryDirectory();
/** In the checkout, so that the program finds its packages. */
const programs = mkdtempSync(join(ROOT, "build", "pull-"));
const program = join(programs, "pull.mjs");
let count = 0;
let server: HubServer;
let options: PullOptions & { home: string; hubUrl: string };
let expected: Record<string, string>;

beforeAll(async () => {
  await build({
    stdin: { contents: PROGRAM, resolveDir: ROOT, loader: "ts" },
    outfile: program,
    bundle: true,
    platform: "node",
    format: "esm",
    packages: "external",
    logLevel: "silent",
  });
  process.env.PATH = `${writePip(join(temporary, "no-pip"))}:${process.env.PATH}`;
});
afterAll(() => rmSync(programs, { recursive: true }));

beforeEach(async () => {
  server = new HubServer(ID, writeRepository(join(temporary, "repository")));
  options = { home: join(temporary, `home-${++count}`), hubUrl: await server.start(), reachMs: 5000 };
  expected ??= contentsOf(await pull(SMALL, { ...options, home: join(temporary, "undisturbed") }));
});
afterEach(() => server.stop());

/** Starts a pull in another process; resolves once it runs. */
async function start(home = options.home): Promise<ChildProcess> {
  const child = spawn(
    process.execPath,
    [program, JSON.stringify(SMALL), JSON.stringify({ ...options, home })],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  await new Promise((resolve) => child.stdout!.once("data", resolve));
  return child;
}

/** Its exit code; on a busy machine it may have ended before somebody asks. */
const exited = (child: ChildProcess) =>
  child.exitCode === null
    ? new Promise<number | null>((resolve) => child.once("exit", resolve))
    : Promise.resolve(child.exitCode);

/** Whether the model is there; if so, it has to be whole. */
async function expectNothingUnverified(): Promise<boolean> {
  const directory = modelFolder(options.home, SMALL);
  if (!existsSync(directory)) return false;
  expect(await isCached(directory, SMALL, true)).toBe(true);
  return true;
}

/** One more pull, without trouble: the model is there as ever, and nothing of those before it. */
async function expectNextSucceeds(): Promise<void> {
  const directory = await pull(SMALL, { ...options, verify: true });
  expect(contentsOf(directory)).toEqual(expected);
  expect(readdirSync(join(options.home, "models"))).toHaveLength(1);
  const left = readdirSync(options.home, { recursive: true, withFileTypes: true }).filter((entry) =>
    entry.isFile(),
  );
  expect(left.map(({ name }) => name).sort()).toEqual(Object.keys(expected).sort());
}

describe("a pull that is killed", () => {
  test("at ten moments leaves nothing unverified, and the next one succeeds", async () => {
    server.pace = { bytes: 500, ms: 4 };
    const home = `${options.home}-whole`;
    const started = performance.now();
    expect(await exited(await start(home))).toBe(0);
    const whole = performance.now() - started;
    let finished = 0;
    const moments: string[] = [];
    for (let i = 0; i < 10; i++) {
      const child = await start();
      const exit = exited(child);
      const moment = Math.random() * whole;
      await Promise.race([setTimeout(moment), exit]);
      child.kill("SIGKILL");
      await exit;
      moments.push(`${moment.toFixed(0)} ms`);
      if (await expectNothingUnverified()) {
        finished++;
        rmSync(modelFolder(options.home, SMALL), { recursive: true });
      }
    }
    console.log(`of ${whole.toFixed(0)} ms, killed after ${moments.join(", ")}; ${finished} were done`);
    server.pace = undefined;
    await expectNextSucceeds();
  });
});

describe("a hub that", () => {
  test("breaks off again and again is continued", async () => {
    server.breaks = { afterBytes: 5000, times: 6 };
    await expect(pull(SMALL, options)).rejects.toMatchObject({ code: "io" });
    expect(await expectNothingUnverified()).toBe(false);
    await expectNextSucceeds();
    const starts = server.downloads(FILE).map((range) => Number(/\d+/.exec(range ?? "0")![0]));
    expect(starts.length).toBeGreaterThan(4);
    for (let i = 1; i < starts.length; i++) expect(starts[i]).toBeGreaterThanOrEqual(starts[i - 1]!);
  });

  test("changes the file half-way is noticed, and the file fetched anew", async () => {
    server.pace = { bytes: 2000, ms: 10 };
    const changed = new AbortController();
    const onProgress = (_: string, done: number) => {
      if (done > CONTENT.length / 3) changed.abort();
    };
    server.replace(FILE, OTHER);
    // The hub says one hash and sends another file: only that hash was asked for.
    server.claim(FILE, CONTENT);
    await expect(pull(SMALL, { ...options, onProgress, signal: changed.signal })).rejects.toMatchObject({
      code: "aborted",
    });
    server.replace(FILE, CONTENT);
    server.pace = undefined;
    await expectNextSucceeds();
    expect(server.downloads(FILE).slice(-2)).toEqual([expect.stringMatching(/^bytes=[1-9]/), undefined]);
  });

  test("sends another file than it says is not believed", async () => {
    server.replace(FILE, OTHER);
    server.claim(FILE, CONTENT);
    await expect(pull(SMALL, options)).rejects.toMatchObject({ code: "io" });
    expect(await expectNothingUnverified()).toBe(false);
    server.replace(FILE, CONTENT);
    await expectNextSucceeds();
  });

  test.each([1000, -1000])(
    "says that the file has %i bytes more than it has is not believed",
    async (lie) => {
      server.lie = lie;
      await expect(pull(SMALL, options)).rejects.toMatchObject({ code: "io" });
      expect(await expectNothingUnverified()).toBe(false);
      server.lie = 0;
      await expectNextSucceeds();
    },
  );
});

describe("two pulls at once", () => {
  test("download once, and both succeed", async () => {
    server.pace = { bytes: 1000, ms: 4 };
    const children = await Promise.all([start(), start(), start()]);
    expect(await Promise.all(children.map(exited))).toEqual([0, 0, 0]);
    expect(server.downloads(FILE)).toHaveLength(1);
    await expectNextSucceeds();
  });

  test("one takes over from another that is killed", async () => {
    server.pace = { bytes: 1000, ms: 10 };
    const first = await start();
    await setTimeout(100);
    const second = await start();
    const exit = exited(second);
    first.kill("SIGKILL");
    expect(await exit).toBe(0);
    await expectNextSucceeds();
  });
});
