import { type ChildProcess, execFile, spawn } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { EXECUTABLES } from "./runtimes.ts";

const EXAMPLES = new URL("../../examples/", import.meta.url).pathname;
const run = promisify(execFile);

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

/** An example in a folder of its own, about to be used as its README says. */
export class Example {
  readonly folder: string;
  /** The lines of each `sh` block of the README, its port replaced by a free one. */
  readonly blocks: string[][];
  readonly port: number;
  private readonly environment: NodeJS.ProcessEnv;
  private server: ChildProcess | undefined;
  private log = "";

  private constructor(folder: string, blocks: string[][], port: number, environment: NodeJS.ProcessEnv) {
    this.folder = folder;
    this.blocks = blocks;
    this.port = port;
    this.environment = environment;
  }

  /**
   * Copies an example, with nothing beside it that the README does not ask for.
   *
   * @param tarball takes the place of the published package
   * @param documented the port that the README names
   */
  static async copy(name: string, tarball: string, documented = 0): Promise<Example> {
    const folder = await mkdtemp(join(tmpdir(), `edgeformer-example-${name}-`));
    await cp(join(EXAMPLES, name), folder, {
      recursive: true,
      filter: (path) => !/\/(node_modules|dist|\.wrangler|package-lock\.json)$/.test(path),
    });
    const manifest = JSON.parse(await readFile(join(folder, "package.json"), "utf8")) as {
      dependencies: Record<string, string>;
    };
    manifest.dependencies.edgeformer = `file:${tarball}`;
    await writeFile(join(folder, "package.json"), JSON.stringify(manifest));
    const readme = await readFile(join(folder, "README.md"), "utf8");
    const port = await freePort();
    const blocks = [...readme.matchAll(/^```sh\n(.+?)^```$/gms)].map((block) =>
      block[1]!
        .trim()
        .split("\n")
        .map((line) => line.replaceAll(String(documented || Number.NaN), String(port))),
    );
    const bin = join(folder, ".bin");
    await mkdir(bin);
    await symlink(EXECUTABLES.deno, join(bin, "deno"));
    await symlink(EXECUTABLES.bun, join(bin, "bun"));
    const environment = {
      ...process.env,
      PATH: `${bin}:${dirname(process.execPath)}:${process.env.PATH}`,
      npm_config_prefer_offline: "true",
      CLOUDFLARE_CF_FETCH_ENABLED: "false",
      WRANGLER_SEND_METRICS: "false",
    };
    return new Example(folder, blocks, port, environment);
  }

  /** Runs a line of the README to its end. */
  sh(line: string) {
    return run("sh", ["-c", line], { cwd: this.folder, env: this.environment });
  }

  /** Starts the line of the README that serves, and waits until something answers. */
  async serve(line: string): Promise<void> {
    const server = spawn("sh", ["-c", line], { cwd: this.folder, env: this.environment, detached: true });
    this.server = server;
    let ended = false;
    server.on("exit", () => {
      ended = true;
    });
    for (const stream of [server.stdout, server.stderr])
      stream?.on("data", (chunk) => {
        this.log += chunk;
      });
    for (;;) {
      const answer = await fetch(`http://localhost:${this.port}/`).catch(() => undefined);
      await answer?.body?.cancel();
      if (answer) return;
      if (ended) throw new Error(`${line} ended:\n${this.log}`);
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  async remove(): Promise<void> {
    if (this.server?.pid !== undefined && this.server.exitCode === null) {
      const exited = new Promise((resolve) => this.server!.once("exit", resolve));
      process.kill(-this.server.pid, "SIGTERM");
      await exited;
    }
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}
