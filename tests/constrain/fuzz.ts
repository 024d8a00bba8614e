import Ajv from "ajv";
import Ajv2020 from "ajv/dist/2020.js";
import { expect } from "vitest";
import { type Constraint, compileConstraint } from "../../src/constrain/index.ts";
import { RandomSchemas } from "./random-schemas.ts";
import { tiny } from "./tiny-tokenizer.ts";
import { random, wander } from "./tokens.ts";

const settings = { strict: false, validateSchema: false };
const old = new Ajv.default(settings);
const current = new Ajv2020.default(settings);

/** Reads a text without masks. */
export function reads(constraint: Constraint, text: string): boolean {
  const matcher = constraint.matcher(tiny);
  return tiny.encode(text).every((id) => matcher.accept(id)) && matcher.mayEnd;
}

export interface FuzzCounts {
  schemas: number;
  refused: number;
  impossible: number;
  /** Values that ajv's validator broke on. */
  broken: number;
  values: number;
  valid: number;
  walks: number;
  ended: number;
}

/** Holds constraints of random schemas to what ajv says of random values, and of texts that they allow. */
export function fuzz(seed: number, schemas: number): FuzzCounts {
  const next = random(seed);
  const make = new RandomSchemas(next);
  const counts: FuzzCounts = {
    schemas,
    refused: 0,
    impossible: 0,
    broken: 0,
    values: 0,
    valid: 0,
    walks: 0,
    ended: 0,
  };
  for (let i = 0; i < schemas; i++) {
    const isOld = next() < 0.5;
    const schema = make.schema(isOld);
    const compiled = (isOld ? old : current).compile(schema);
    // The validators that ajv writes break on a few values: there is nothing to compare with.
    const validate = (value: unknown): boolean | undefined => {
      let valid: unknown;
      try {
        valid = compiled(value);
      } catch (error) {
        if (!(error instanceof TypeError)) throw error;
      }
      if (typeof valid === "boolean") return valid;
      counts.broken++;
      return undefined;
    };
    const values = Array.from({ length: 15 }, () => make.value());
    let constraint: Constraint;
    try {
      constraint = compileConstraint({ jsonSchema: schema }, { whitespace: "none" });
    } catch (error) {
      expect(error, JSON.stringify(schema)).toMatchObject({ code: "invalid_option" });
      if ((error as Error).message.includes("no value is valid")) {
        counts.impossible++;
        for (const value of values)
          expect(validate(value) ?? false, `${JSON.stringify(value)} for ${JSON.stringify(schema)}`).toBe(
            false,
          );
      } else counts.refused++;
      continue;
    }
    for (const value of values) {
      const text = JSON.stringify(value);
      const valid = validate(value);
      if (valid === undefined) continue;
      expect(reads(constraint, text), `seed ${seed}, ${i}: ${text} for ${JSON.stringify(schema)}`).toBe(
        valid,
      );
      counts.values++;
      if (valid) counts.valid++;
    }
    const walk = (order: string, written: Constraint) => {
      let text: string | undefined;
      try {
        text = wander(written, next, tiny, 400);
      } catch (error) {
        throw new Error(
          `seed ${seed}, ${i}, ${order}: ${(error as Error).message} for ${JSON.stringify(schema)}`,
          { cause: error },
        );
      }
      counts.walks++;
      if (text === undefined) return;
      counts.ended++;
      expect(
        validate(JSON.parse(text)) ?? true,
        `seed ${seed}, ${i}, ${order}: wrote ${text} for ${JSON.stringify(schema)}`,
      ).toBe(true);
      expect(reads(constraint, text), `${order}: ${text} for ${JSON.stringify(schema)}`).toBe(true);
    };
    walk("any order", constraint);
    const declared = compileConstraint(
      { jsonSchema: schema },
      { whitespace: "none", propertyOrder: "declared" },
    );
    walk("declared order", declared);
    for (const value of values)
      if (reads(declared, JSON.stringify(value)))
        expect(
          reads(constraint, JSON.stringify(value)),
          `declared order: ${JSON.stringify(value)} for ${JSON.stringify(schema)}`,
        ).toBe(true);
    old.removeSchema();
    current.removeSchema();
  }
  return counts;
}
