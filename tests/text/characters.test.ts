import { describe, expect, test } from "vitest";
import { classOf, LETTER, NUMBER, OTHER, WHITE } from "../../src/text/tokenizer-characters.ts";

/** Assigned since before the oldest Unicode that a supported runtime has, so that every host knows it. */
const SCRIPTS = /[\p{L}\p{N}\p{P}\p{S}\p{Z}]/u;

describe("classes of characters", () => {
  test("are the host's, for all that the host knows and has not changed since Unicode 16", () => {
    // Letters and numbers that hosts with Unicode 17 know beyond the tables.
    const newer =
      /[\u088f\u0c5c\u0cdc\ua7ce-\ua7d5\ua7f1]|[\u{10900}-\u{1ffff}\u{2b73a}-\u{2b73f}\u{2cea2}-\u{2cead}\u{323b0}-\u{33479}]/u;
    const wrong: string[] = [];
    for (let point = 0; point < 0x110000; point++) {
      const character = String.fromCodePoint(point);
      if (newer.test(character) || !SCRIPTS.test(character)) continue;
      const expected = /\p{L}/u.test(character)
        ? LETTER
        : /\p{N}/u.test(character)
          ? NUMBER
          : /\p{White_Space}/u.test(character)
            ? WHITE
            : OTHER;
      if (classOf(point) !== expected) wrong.push(point.toString(16));
    }
    expect(wrong).toEqual([]);
  });

  test("count as many letters and numbers as Unicode 16 has", () => {
    const counts = [0, 0, 0, 0];
    for (let point = 0; point < 0x110000; point++) counts[classOf(point)]!++;
    expect(counts.slice(1)).toEqual([141_028, 1911, 25]);
  });

  test("have white space as Rust and Python see it, not as JavaScript does", () => {
    expect(classOf(0x85)).toBe(WHITE);
    expect(classOf(0xfeff)).toBe(OTHER);
    expect(classOf(0x180e)).toBe(OTHER);
    expect(classOf(0x1c)).toBe(OTHER);
  });
});
