/**
 * Texts that cannot be invalid: which tokens may come next, for a JSON Schema, a regular expression or a list of choices.
 *
 * @module edgeformer/constrain
 */

export { type ConstraintOptions, type ConstraintSource, compileConstraint } from "./compile.ts";
export { type Constraint, type MatcherOptions, prepareTokenizer } from "./constraint.ts";
export type { Matcher } from "./matcher.ts";
