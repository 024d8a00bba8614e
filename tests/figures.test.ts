import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { fillBlocks, withoutBlocks } from "../bench/report/fill-blocks.ts";
import { reportFiles } from "../bench/report/index.ts";
import { loadResults } from "../bench/results.ts";

const ROOT = new URL("../", import.meta.url).pathname;

describe("the figures of the documentation", () => {
  test("are those of the results that are kept: run npm run report in bench/", async () => {
    for (const [path, content] of Object.entries(reportFiles(loadResults())))
      expect(await readFile(ROOT + path, "utf8"), path).toBe(content);
  });

  test("follow the results", () => {
    const results = loadResults();
    const before = reportFiles(results);
    results.engine.samples["fable/node/load"] = [12345];
    const after = reportFiles(results);
    const changed = Object.keys(after).filter((path) => after[path] !== before[path]);
    expect(changed).toEqual(["docs/benchmarks.md"]);
    expect(after["docs/benchmarks.md"]).toContain("| load, ms | 12345 |");
  });

  test.each(["docs/benchmarks.md", "docs/performance.md"])(
    "%s has none that nobody measured",
    async (path) => {
      const byHand = withoutBlocks(await readFile(ROOT + path, "utf8"));
      expect(
        byHand.match(/[\d.,]+ ?(×(?! \d)|%|GB\/s|GMAC\/s|tok(en)?s?\/s|tokens a second|[mµn]s\b)/g),
      ).toBeNull();
    },
  );

  test("a block is replaced between its markers, and one that nobody writes is told", () => {
    const page = "a\n<!-- report: one -->\nold\n<!-- end of report -->\nb";
    expect(fillBlocks("p.md", page, { one: "new\n" })).toBe(page.replace("old", "new"));
    expect(() => fillBlocks("p.md", page, {})).toThrow('p.md: the report has no block "one"');
  });
});
