import { readdir, readFile } from "node:fs/promises";
import { afterAll, afterEach, beforeAll, describe, expect, inject, test } from "vitest";
import type { Model } from "../../src/index.ts";
import { bundledModel, openModel } from "../../src/node/index.ts";
import { Example } from "./readme.ts";
import { launchChromium } from "./runtimes.ts";

const tarball = inject("tarball");

let model: Model;
let example: Example;

beforeAll(async () => {
  model = await openModel(bundledModel());
});
afterEach(() => example.remove());
afterAll(() => model.dispose());

/** What the library writes here for the examples' settings; the same everywhere. */
async function story(prompt: string, maxTokens: number): Promise<string> {
  return (await model.complete(prompt, { maxTokens, temperature: 0.8, seed: 1 })).text;
}

describe("each example does what its README says, from the packed library", () => {
  test("examples/README.md lists them all", async () => {
    example = await Example.copy("node", tarball);
    const folder = new URL("../../examples/", import.meta.url);
    const listed = await readFile(new URL("README.md", folder), "utf8");
    const own = ["browser", "bun", "deno", "node", "worker-rank"];
    for (const name of own) expect(listed).toContain(`[${name}](${name})`);
    expect(await readdir(folder)).toEqual(expect.arrayContaining(own));
  });

  test("node", async () => {
    example = await Example.copy("node", tarball);
    const [[install, write]] = example.blocks as [[string, string]];
    await example.sh(install);
    const { stdout } = await example.sh(write);
    expect(stdout).toBe(`Once upon a time${await story("Once upon a time", 120)}\n`);
  });

  test("bun", async () => {
    example = await Example.copy("bun", tarball);
    const [[install, surprise]] = example.blocks as [[string, string]];
    await example.sh(install);
    const lines = (await example.sh(surprise)).stdout.trimEnd().split("\n");
    const { ids, tokenLogprobs, perplexity } = await model.score(
      "Once upon a time there was a little volcano.",
    );
    expect(lines).toHaveLength(ids.length + 1);
    expect(lines[1]).toBe(`${(-tokenLogprobs[1]! / Math.LN2).toFixed(2).padStart(6)} " upon"`);
    expect(lines.at(-1)).toBe(`perplexity ${perplexity.toFixed(2)}`);
    await expect(example.sh("bun surprise.js")).rejects.toMatchObject({ code: 2 });
  });

  test("deno", async () => {
    example = await Example.copy("deno", tarball, 8000);
    const [[install, serve], [curl]] = example.blocks as [[string, string], [string]];
    await example.sh(install);
    await example.serve(serve);
    expect((await example.sh(curl)).stdout).toBe(await story("Once upon a time", 120));
    const bad = await fetch(`http://localhost:${example.port}/?prompt=Hi&seed=-1.5`);
    expect([bad.status, await bad.text()]).toEqual([400, expect.stringContaining("seed")]);
  });

  test("worker-rank", async () => {
    example = await Example.copy("worker-rank", tarball, 8788);
    const [[install, serve], [curl]] = example.blocks as [[string, string], [string]];
    await example.sh(install);
    await example.serve(serve);
    const { ranked } = JSON.parse((await example.sh(curl)).stdout) as {
      ranked: { candidate: string; logprob: number; mean: number }[];
    };
    expect(ranked.map(({ candidate }) => candidate)).toEqual([" blue", " angry", " sandwich"]);
    const text = "The sun was shining and the sky was";
    for (const { candidate, logprob } of ranked) {
      const { encode } = model.tokenizer!;
      const [head, tail] = [encode.call(model.tokenizer, text), encode.call(model.tokenizer, candidate)];
      const { tokenLogprobs } = await model.score([...head, ...tail]);
      expect(logprob).toBe(tokenLogprobs.slice(head.length).reduce((sum: number, each) => sum + each!, 0));
    }
    for (const body of ["{", "{}", '{"text": "a", "candidates": []}', '{"text": "a", "candidates": [1]}']) {
      const bad = await fetch(`http://localhost:${example.port}/`, { method: "POST", body });
      expect(bad.status, body).toBe(400);
    }
  });

  test("browser", async () => {
    example = await Example.copy("browser", tarball, 5173);
    const [[install, serve]] = example.blocks as [[string, string]];
    await example.sh(install);
    await example.sh("npx vite build");
    await example.serve(serve);
    const browser = await launchChromium();
    try {
      const page = await browser.newPage();
      const errors: string[] = [];
      page.on("pageerror", (error) => errors.push(error.message));
      await page.goto(`http://localhost:${example.port}/`);
      await page.getByText("Ready.").waitFor();
      await page.getByRole("button", { name: "Write" }).click();
      await page.getByText("Done.").waitFor();
      const expected = `Once upon a time${await story("Once upon a time", 200)}`;
      expect(await page.locator("output").textContent()).toBe(expected);

      // The interface is alive while the worker writes: Stop is heard after the first words, long before the end.
      await page.evaluate(() => {
        const output = document.querySelector("output")!;
        new MutationObserver(() => {
          if (output.textContent!.length > 30)
            document.querySelector<HTMLButtonElement>("button[name=stop]")!.click();
        }).observe(output, { childList: true, characterData: true, subtree: true });
      });
      await page.getByRole("button", { name: "Write" }).click();
      await page.getByText("Stopped.").waitFor();
      const stopped = (await page.locator("output").textContent())!;
      expect(expected.startsWith(stopped)).toBe(true);
      expect(stopped.length).toBeLessThan(expected.length);
      expect(errors).toEqual([]);
    } finally {
      await browser.close();
    }
  });
});
