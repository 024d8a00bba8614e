import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TextStream } from "../../src/text/stream.ts";

const encoder = new TextEncoder();
const decode = (bytes: Uint8Array) => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

/** Few letters, so that stop strings occur and nearly occur; characters of one to four bytes. */
const letters = fc.string({ unit: fc.constantFrom("a", "b", " ", "é", "—", "😀", "👩‍🚀"), maxLength: 24 });
const stops = fc.array(
  fc.string({ unit: fc.constantFrom("a", "b", " ", "é", "😀"), minLength: 1, maxLength: 5 }),
  { maxLength: 4 },
);

/** Cuts bytes into pieces of these lengths, again and again; some may be empty, as tokens can be. */
function cut(bytes: Uint8Array, lengths: number[]): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length]! || (i % lengths.length === 0 ? 1 : 0);
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}
const lengths = fc.array(fc.nat(6), { minLength: 1, maxLength: 6 });

/** Everything that a stream shows, and whether it was stopped; stop strings do not count within the first `early` pieces. */
function run(pieces: Uint8Array[], stop: string[], early = 0): { shown: string[]; stopped: boolean } {
  const stream = new TextStream(stop);
  const shown = pieces.map((piece, i) => stream.push(piece, i < early));
  return { shown: [...shown, stream.flush()], stopped: stream.stopped };
}

/** Where the first stop string of a text begins; -1 without one. */
function firstStop(text: string, stop: string[]): number {
  const places = stop.map((one) => text.indexOf(one)).filter((at) => at !== -1);
  return places.length === 0 ? -1 : Math.min(...places);
}

describe("characters", () => {
  test("arrive whole, wherever the tokens end", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), lengths, (text, at) => {
        const bytes = encoder.encode(text);
        const { shown } = run(cut(bytes, at), []);
        expect(shown.join("")).toBe(decode(bytes));
        for (const piece of shown) expect(decode(encoder.encode(piece))).toBe(piece);
      }),
    );
  });

  test("that are not UTF-8 become what TextDecoder makes of the whole", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), lengths, (bytes, at) => {
        expect(run(cut(bytes, at), []).shown.join("")).toBe(decode(bytes));
      }),
    );
  });

  test("are shown with the byte that completes them", () => {
    const bytes = encoder.encode("😀é");
    const { shown } = run(cut(bytes, [1]), []);
    expect(shown).toEqual(["", "", "", "😀", "", "é", ""]);
  });

  test("an unfinished one at the end is one U+FFFD", () => {
    const stream = new TextStream([]);
    expect(stream.push(encoder.encode("a😀").subarray(0, 4))).toBe("a");
    expect(stream.flush()).toBe("\ufffd");
  });

  test("a byte order mark is a character like others", () => {
    expect(run([encoder.encode("\ufeffa"), encoder.encode("\ufeff")], []).shown).toEqual([
      "\ufeffa",
      "\ufeff",
      "",
    ]);
  });
});

describe("stop strings", () => {
  test("end the text before the first of them, and nothing of it is ever shown", () => {
    fc.assert(
      fc.property(letters, stops, lengths, (text, stop, at) => {
        const pieces = cut(encoder.encode(text), at);
        // A stop string ends the text as soon as it is complete, whatever another would have become later.
        const whole = pieces.map((_, i) => {
          const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
          return pieces
            .slice(0, i + 1)
            .reduce((all, piece) => all + decoder.decode(piece, { stream: true }), "");
        });
        const seen = whole.find((part) => firstStop(part, stop) !== -1);
        const expected = seen === undefined ? text : seen.slice(0, firstStop(seen, stop));
        const { shown, stopped } = run(pieces, stop);
        expect(shown.join("")).toBe(expected);
        expect(stopped).toBe(seen !== undefined);
        let sofar = "";
        shown.forEach((piece, i) => {
          sofar += piece;
          expect(expected.startsWith(sofar)).toBe(true);
          expect(firstStop(sofar, stop)).toBe(-1);
          // Nothing is held back but what may begin a stop string.
          const held = (whole[i] ?? expected).slice(sofar.length);
          if (whole[i] !== undefined && firstStop(whole[i]!, stop) === -1 && held !== "")
            expect(stop.some((one) => one.startsWith(held) && one !== held)).toBe(true);
        });
      }),
      { numRuns: 1000 },
    );
  });

  test.each<[name: string, tokens: string[], stop: string[], shown: string[]]>([
    ["across three tokens", ["ab", "c", "de", "f"], ["bcd"], ["a", "", "", "", ""]],
    ["that do not come true", ["ab", "c", "x"], ["bcd"], ["a", "", "bcx", ""]],
    ["that begin again within themselves", ["aa", "a", "b", "c"], ["aab"], ["", "a", "", "", ""]],
    ["at the very beginning", ["\n", "a"], ["\n"], ["", "", ""]],
    ["half there at the end", ["a", "b"], ["bc"], ["a", "", "b"]],
    ["of which the earlier wins", ["abcd"], ["cd", "b"], ["a", ""]],
    ["in a character of several tokens' making", ["a😀b"], ["😀"], ["a", ""]],
  ])("%s", (_, tokens, stop, shown) => {
    expect(
      run(
        tokens.map((token) => encoder.encode(token)),
        stop,
      ).shown,
    ).toEqual(shown);
  });

  test.each<[name: string, tokens: string[], early: number, stop: string[], text: string]>([
    ["that ends before they count is text", ["a.", "b", ".c"], 2, ["."], "a.b"],
    ["that ends where they begin to count ends the text", ["a", "bc", "d"], 1, ["ab"], ""],
    ["that is half there when they begin to count ends the text", ["xa", "b", "c"], 1, ["ab"], "x"],
    ["that begins again in what does not count yet", ["aba", "ba", "c"], 1, ["aba"], "ab"],
    ["that never comes again changes nothing", ["a.", "b", "c"], 2, ["."], "a.bc"],
  ])("one %s", (_, tokens, early, stop, text) => {
    const pieces = tokens.map((token) => encoder.encode(token));
    expect(run(pieces, stop, early).shown.join("")).toBe(text);
  });

  test("after one, nothing more is shown", () => {
    const stream = new TextStream(["."]);
    expect(stream.push(encoder.encode("a.b"))).toBe("a");
    expect(stream.stopped).toBe(true);
    expect(stream.push(encoder.encode("c"))).toBe("");
    expect(stream.flush()).toBe("");
  });
});
