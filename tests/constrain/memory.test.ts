// What constraints remember is bounded, and forgetting it changes nothing.
import { describe, expect, test } from "vitest";
import { CALL_OPEN, constrainCalls } from "../../src/constrain/calls/index.ts";
import { type Constraint, type ConstraintSource, compileConstraint } from "../../src/constrain/index.ts";
import { MAX_BYTES, rememberedBytes } from "../../src/constrain/memory.ts";
import { allowed, random, tokenizer } from "./tokens.ts";

/** Properties enough that each key leads to much that is new. */
const properties = Object.fromEntries(
  Array.from({ length: 300 }, (_, i) => [`p${i}`, { type: "string", pattern: `^.{0,9}x.{0,20}${i}$` }]),
);

const compiled = (source: ConstraintSource) => () => compileConstraint(source);

describe("a long text", () => {
  test.each<[string, () => Constraint]>([
    ["a bound on its length", compiled({ regex: "[\\s\\S]{0,5000}" })],
    ["many ways to read it", compiled({ regex: "[^q]*a[^q]{12}" })],
    ["many keys", compiled({ jsonSchema: { type: "object", properties } })],
    [
      "items that differ",
      compiled({ jsonSchema: { type: "array", uniqueItems: true, minItems: 60, items: { type: "number" } } }),
    ],
    [
      "a call",
      () =>
        constrainCalls(
          [{ name: "f", arguments: compileConstraint({ jsonSchema: { type: "object", properties } }) }],
          { required: true },
        ),
    ],
  ])("with %s does not fill the memory, and may go on as if nothing were forgotten", (_, make) => {
    const draw = random(7);
    const matcher = make().matcher(tokenizer);
    const ids: number[] = [];
    const start = tokenizer.encode(CALL_OPEN).filter((id) => matcher.accept(id));
    ids.push(...start);
    let forgot = 0;
    for (let step = 0, before = rememberedBytes(); step < 400; step++, before = rememberedBytes()) {
      const mask = matcher.mask();
      if (rememberedBytes() < before) {
        forgot++;
        const other = make().matcher(tokenizer);
        for (const id of ids) expect(other.accept(id)).toBe(true);
        expect(other.mask()).toEqual(mask);
      }
      // What a single step adds lies above the bound.
      expect(rememberedBytes()).toBeLessThan(2 * MAX_BYTES);
      const may = allowed(mask);
      const id = may[Math.floor(draw() * may.length)]!;
      if (id === undefined || !matcher.accept(id)) break;
      ids.push(id);
      if (forgot === 3) break;
    }
    expect(forgot).toBeGreaterThan(0);
  });
});
