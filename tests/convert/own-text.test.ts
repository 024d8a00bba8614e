import { describe, expect, test } from "vitest";
import { ownText } from "../../src/convert/quantize/own-text.ts";
import { openModel } from "../../src/node/index.ts";
import { convertOdd, withDirectory } from "../numerics/harness.ts";

describe("a calibration text of the model's own", () => {
  test("is windows from the first token on, and the same each time", async () => {
    await withDirectory(async (directory) => {
      const model = await openModel(await convertOdd(directory));
      const { recipe } = model.manifest;
      const shares: number[] = [];
      const windows = await ownText(model, (share) => shares.push(share));
      expect(windows.length).toBeGreaterThan(1);
      for (const ids of windows) {
        expect(ids.length).toBe(model.context);
        expect(ids[0]).toBe(recipe.bosTokenId ?? recipe.eosTokenIds[0] ?? 0);
        expect(ids.every((id) => id >= 0 && id < recipe.vocabSize)).toBe(true);
      }
      expect(new Set(windows.map((ids) => ids.join())).size).toBe(windows.length);
      expect(shares.at(-1)).toBe(1);
      expect(await ownText(model)).toEqual(windows);
      model.dispose();
    });
  });
});
