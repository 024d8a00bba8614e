import { execFile } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** The packed package: what `npm publish` would upload. */
    tarball: string;
    /** A folder with nothing in it but the installed package. */
    project: string;
  }
}

const ROOT = new URL("../../", import.meta.url).pathname;
const run = promisify(execFile);

/** Packs the package and installs it in an empty project, once for the whole suite. */
export default async function setup(vitest: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "edgeformer-package-"));
  const { stdout } = await run("npm", ["pack", "--silent", "--pack-destination", folder], { cwd: ROOT });
  const tarball = join(folder, stdout.trim().split("\n").at(-1)!);
  const project = await mkdtemp(join(tmpdir(), "edgeformer-project-"));
  await run("npm", ["init", "--yes", "--init-type=module"], { cwd: project });
  await run("npm", ["install", "--prefer-offline", tarball], { cwd: project });
  vitest.provide("tarball", tarball);
  vitest.provide("project", project);
  return async () => {
    for (const made of [folder, project]) await rm(made, { recursive: true, force: true });
  };
}
