// `npm start`, without the build that comes before it.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import type { Facts } from "../../worker/page/shared/facts.ts";
import { temporaryDirectory } from "../convert/checkpoints.ts";

const ROOT = new URL("../../", import.meta.url).pathname;
const temporary = temporaryDirectory();
let child: ChildProcess | undefined;
let output = "";

function start(...args: string[]): ChildProcess {
  output = "";
  child = spawn(process.execPath, ["worker/start.mjs", ...args], {
    cwd: ROOT,
    env: { ...process.env, EDGEFORMER_HOME: join(temporary, "empty") },
  });
  for (const stream of [child.stdout!, child.stderr!])
    stream.on("data", (chunk) => {
      output += String(chunk);
    });
  return child;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "localhost");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

afterEach(async () => {
  if (child?.exitCode === null) {
    child.kill("SIGTERM");
    await once(child, "exit");
  }
});

describe("npm start", () => {
  test("serves the story model where the default one cannot be had, says so, and prints a call that works", async () => {
    const port = await freePort();
    const running = start("--offline", "--port", String(port));
    await new Promise<void>((resolve, reject) => {
      running.stdout!.on("data", () => / is ready/.test(output) && resolve());
      running.once("exit", () => reject(new Error(output)));
    });
    expect(output).toContain("edgeformer pull SmolLM2-135M-Instruct");
    expect(output).toContain("the bundled story model is served instead");
    const facts = (await (await fetch(`http://localhost:${port}/page/facts.json`)).json()) as Facts;
    expect(facts).toMatchObject({ name: "fable", publicModel: true });
    expect(facts.standIn?.missing).toBe("SmolLM2-135M-Instruct");
    const [, address, body] = /curl -N (\S+) -d '(.+)'/.exec(output)!;
    const answer = await fetch(address!, { method: "POST", body: body! });
    expect(answer.status).toBe(200);
    expect(await answer.text()).toContain("data: [DONE]");
  });

  test("ends with one line for what is wrong, and the exit code", async () => {
    const other = createServer().listen(0, "localhost");
    await once(other, "listening");
    const port = String((other.address() as AddressInfo).port);
    const free = String(await freePort());
    const cases: [string[], number, RegExp][] = [
      [["--port", port], 1, /^npm start: port \d+ is in use; .+$/],
      [["--port", "many"], 2, /^npm start: --port must be .+$/],
      [["--loudly"], 2, /^npm start: .*--loudly.*Usage: .+$/],
      [["--port", free, "--model", "tests"], 1, /^npm start: .*tests is no model directory .+$/],
      [["--port", free, "--model", "gpt-5"], 1, /^edgeformer: there is no model of the name gpt-5; .+$/],
    ];
    for (const [args, exit, says] of cases) {
      const [code] = await once(start(...args), "close");
      expect({ code, output: output.trim() }).toEqual({ code: exit, output: expect.stringMatching(says) });
    }
    other.close();
  });
});
