import { describe, expect, test } from "vitest";
import { compileConstraint } from "../../src/constrain/index.ts";
import { HOSTILE } from "./hostile-sources.ts";
import { tiny } from "./tiny-tokenizer.ts";
import { random, wander } from "./tokens.ts";

const cases = Object.entries(HOSTILE);

describe("hostile sources", () => {
  test.each(cases.filter(([, { refused }]) => !refused))(
    "%s: taken, and what it allows leads to an end",
    (_, { source, options }) => {
      const constraint = compileConstraint(source, { whitespace: "none", ...options });
      expect(() => wander(constraint, random(1), tiny, 200)).not.toThrow();
    },
  );

  test.each(cases.filter(([, { refused }]) => refused))("%s: refused", (_, { source, options, refused }) => {
    expect(() => compileConstraint(source, options)).toThrow(
      expect.objectContaining({ code: "invalid_option", message: expect.stringMatching(refused!) }),
    );
  });
});
