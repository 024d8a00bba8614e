import { expect, test } from "vitest";
import { JsonLayout } from "../../worker/page/client/json-layout.ts";

function laidOut(text: string): string {
  const layout = new JsonLayout();
  return [...text].map((character) => layout.next(character)).join("");
}

const VALUES: unknown[] = [
  "a",
  -1.5e300,
  null,
  {},
  [],
  { "": [{}], a: [[], [1, 2, [true]]], b: { c: { d: "" } } },
  ["{", "}", ",:", '"', "\\", '\\"{', "\\\\", "a\nb\t c", "🦊 \u2028"],
  { '"{': '}"', "\\": "[\\]" },
];

test.each(VALUES)("JSON is laid out as JSON.stringify indents it, however it was written: %j", (value) => {
  const expected = JSON.stringify(value, null, 2);
  for (const indent of [0, 1, "\n \t"]) expect(laidOut(JSON.stringify(value, null, indent))).toBe(expected);
});

test("a beginning of JSON looks as it does in the whole", () => {
  const text = JSON.stringify(VALUES);
  for (let length = 0; length <= text.length; length++)
    expect(laidOut(text).startsWith(laidOut(text.slice(0, length)))).toBe(true);
});
