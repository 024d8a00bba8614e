import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const ROOT = new URL("../", import.meta.url).pathname;

/** What each configuration of `npm run check` must not know, and what it must. */
const CONFIGURATIONS: Record<string, { foreign: string[]; own: string[] }> = {
  core: {
    foreign: ["process.exit()", "Buffer.from('')", "setImmediate(() => {})", "scheduler.wait(1)"],
    own: ["fetch('')", "new TextDecoder()", "crypto.getRandomValues(new Uint8Array(1))"],
  },
  worker: {
    foreign: ["process.exit()", "Buffer.from('')", "require('fs')", "document.title", "localStorage.clear()"],
    own: ["scheduler.wait(1)", "new IdentityTransformStream()", "new crypto.DigestStream('SHA-256')"],
  },
  page: {
    foreign: ["process.exit()", "Buffer.from('')", "scheduler.wait(1)", "new IdentityTransformStream()"],
    own: ["document.title", "navigator.clipboard", "new Worker('')"],
  },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(ROOT, "build", "globals-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Which of these lines a configuration's compiler objects to, each in a file of its own. */
async function refused(configuration: string, lines: string[]): Promise<string[]> {
  const planted = lines.map((_, i) => `${configuration}-${i}.ts`);
  await Promise.all(lines.map((line, i) => writeFile(join(folder, planted[i]!), `${line};\nexport {};\n`)));
  const project = join(folder, `${configuration}.json`);
  const declarations = configuration === "worker" ? ["../../worker/globals.d.ts"] : [];
  await writeFile(
    project,
    JSON.stringify({
      extends: `../../tsconfig.${configuration}.json`,
      include: [],
      files: [...declarations, ...planted],
    }),
  );
  const output = await new Promise<string>((resolve) => {
    const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
    execFile(process.execPath, [compiler, "-p", project], { cwd: folder }, (_, stdout) => resolve(stdout));
  });
  const errors = output.split("\n").filter((line) => line.includes("error TS"));
  const stray = errors.filter((error) => !planted.some((file) => error.includes(file)));
  expect(stray).toEqual([]);
  return lines.filter((_, i) => errors.some((error) => error.includes(planted[i]!)));
}

describe("each runtime is type-checked with its own globals only", () => {
  test.each(Object.entries(CONFIGURATIONS))("tsconfig.%s.json", async (name, { foreign, own }) => {
    expect(await refused(name, [...foreign, ...own])).toEqual(foreign);
  });
});
