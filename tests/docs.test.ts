import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = new URL("../", import.meta.url).pathname;

/** The Markdown files that people read, by path. */
async function pages(): Promise<string[]> {
  const folders = ["", "docs", "examples", ".github"];
  const names = await Promise.all(
    folders.map(async (folder) =>
      (await readdir(join(ROOT, folder), { recursive: folder === "examples" })).map((name) =>
        join(folder, name),
      ),
    ),
  );
  return names.flat().filter((name) => name.endsWith(".md") && !name.includes("node_modules"));
}

/** Where a page's links and pictures lead that stay in the repository, without the part behind "#". */
function targets(text: string): string[] {
  const prose = text.replace(/^```[\s\S]*?^```/gm, "");
  const links = [...prose.matchAll(/\]\(([^)\s]+)\)/g), ...prose.matchAll(/(?:src|srcset)="([^"]+)"/g)];
  return links
    .map(([, target]) => target!.split("#")[0]!)
    .filter((target) => target !== "" && !/^[a-z]+:/.test(target));
}

describe("the documentation", () => {
  test("every link to a file leads to one", async () => {
    const dead: string[] = [];
    for (const page of await pages())
      for (const target of targets(await readFile(join(ROOT, page), "utf8")))
        if (!existsSync(join(ROOT, dirname(page), target))) dead.push(`${page}: ${target}`);
    expect(dead).toEqual([]);
  });

  test("its index leads to each page", async () => {
    const listed = targets(await readFile(join(ROOT, "docs/README.md"), "utf8"));
    const names = (await readdir(join(ROOT, "docs"))).filter(
      (name) => name.endsWith(".md") && name !== "README.md",
    );
    expect(names.filter((name) => !listed.includes(name))).toEqual([]);
  });

  test("a dead link is found, and code is none", () => {
    expect(targets("[a](b.md#c) and ![d](e.png)\n```\n[f](g.md)\n```\n[h](https://example.com)")).toEqual([
      "b.md",
      "e.png",
    ]);
  });
});
