import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Run, Scores } from "./serve.d.mts";

/** A program and its arguments; a script of this directory is run by Node. */
export type Command = [program: string, ...args: string[]];

/** A peer's process: asked for one measurement after another, as serve.mjs says. */
export class PeerProcess {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #reader: Interface;

  private constructor([program, ...args]: Command) {
    // Scripts may import the project's TypeScript: they need the loader that this process was started with.
    const script = /\.m?[jt]s$/.test(program);
    const path = script ? fileURLToPath(new URL(program, import.meta.url)) : program;
    this.#child = spawn(
      script ? process.execPath : program,
      script ? [...process.execArgv, path, ...args] : args,
      { stdio: ["pipe", "pipe", "inherit"] },
    );
    this.#reader = createInterface({ input: this.#child.stdout! });
    this.#lines = this.#reader[Symbol.asyncIterator]();
  }

  /** Starts a peer; resolves when its model is loaded, with how long that took. */
  static async start(command: Command): Promise<{ peer: PeerProcess; loadMs: number }> {
    const peer = new PeerProcess(command);
    return { peer, ...(await peer.#answer<{ loadMs: number }>()) };
  }

  async #answer<T>(): Promise<T> {
    for (;;) {
      const { value, done } = await this.#lines.next();
      if (done === true) throw new Error("the peer's process ended; its message is above");
      if (value.startsWith("{")) return JSON.parse(value) as T;
    }
  }

  #ask<T>(line: (string | number)[]): Promise<T> {
    this.#child.stdin!.write(`${line.join(" ")}\n`);
    return this.#answer();
  }

  /** A prompt, then so many greedy tokens. */
  run(ids: readonly number[], decodeTokens: number): Promise<Run> {
    return this.#ask(["run", decodeTokens, ...ids]);
  }

  /** What the peer thinks of some tokens after each of a text's. */
  score(ids: readonly number[], asked: readonly (readonly number[])[]): Promise<Scores> {
    return this.#ask(["score", ids.length, asked[0]!.length, ...ids, ...asked.flat()]);
  }

  /** The most memory that the process ever had, or the largest one that it started: a browser's is its page's. */
  peakBytes(): number {
    const processes = new Map<number, { parent: number; peak: number }>();
    for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
      const field = (status: string, key: string) =>
        Number(new RegExp(`${key}:\\s+(\\d+)`).exec(status)?.[1]);
      try {
        const status = readFileSync(`/proc/${name}/status`, "utf8");
        const browser = /chrom/.test(status.slice(0, 30)) && !isPage(name);
        const peak = browser ? 0 : field(status, "VmHWM") * 1024;
        processes.set(Number(name), { parent: field(status, "PPid"), peak });
      } catch {
        // It has ended meanwhile.
      }
    }
    const belongs = (id: number): boolean =>
      id === this.#child.pid || (processes.has(id) && belongs(processes.get(id)!.parent));
    const peaks = [...processes].filter(([id]) => belongs(id)).map(([, { peak }]) => peak);
    return Math.max(...peaks.filter((peak) => !Number.isNaN(peak)));
  }

  /** Resolves when the process has gone, so that it does not compete with the next one. */
  async stop(): Promise<void> {
    const gone = once(this.#child, "exit");
    this.#child.stdin!.end();
    await gone;
    this.#reader.close();
  }
}

/** Whether a process of Chromium's is one that runs pages. */
function isPage(id: string): boolean {
  return readFileSync(`/proc/${id}/cmdline`, "utf8").includes("--type=renderer");
}
