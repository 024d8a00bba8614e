/// <reference path="./jinja.d.ts" />

// Jinja has no endless loops, but a short template can still take longer than any isolate lives, or more memory than it
// has: by loops in loops, by a text that doubles, by a list that holds another one twice, which holds a third twice …
//
// Every value that a template makes passes `evaluate`, where its size is charged. Some operations make a value that is
// far larger than what goes into them, in one step. Their operands are looked at before.

import { type Environment, Interpreter } from "@huggingface/jinja";

/**
 * What rendering may cost: one for each node that is evaluated, and more for large values. Conversations of 1000
 * messages stay below it. Templates that reached it took up to 0.2 s to do so.
 */
export const MAX_COST = 400_000;
/** A turn of a loop, for which the interpreter makes a scope: 5 µs. */
const TURN_COST = 16;
/** Characters or entries of a value that cost as much as a node. */
const SIZE_PER_COST = 16;
/** The most characters that a value can have: it would use up the whole budget. */
const MAX_SIZE = MAX_COST * SIZE_PER_COST;
/** Lists and objects nested deeper than this are not turned into text. */
const MAX_DEPTH = 64;

type Node = NonNullable<Parameters<Interpreter["evaluate"]>[0]>;
type Value = ReturnType<Interpreter["evaluate"]>;

/** The template used up its budget. */
export class BudgetExceeded extends Error {
  constructor() {
    super("it does not come to an end");
  }
}

/** Filters that do not turn a list or an object into text. Sorting does not either, but compares the texts in it. */
const LISTS = new Set(
  "length first last list reverse items keys values selectattr rejectattr map get default d safe".split(" "),
);

/** What a node's value is for: it may become text, or another value is multiplied by it. */
interface Roles {
  /** The loop's iterable. */
  iterables: Set<Node>;
  /** Values that are written out: of a list, all that is in it, however often. */
  written: Set<Node>;
  /** The subject of an operation, or one of its factors: a result can have up to subject × factors characters. */
  factors: Map<Node, "subject" | "factor">;
  /** The operations. */
  operations: Set<Node>;
}

const isNode = (value: unknown): value is Node =>
  typeof value === "object" && value !== null && typeof (value as Node).type === "string";

function nameOf(node: Node | undefined): string {
  return node?.type === "Identifier" || node?.type === "StringLiteral" ? String(node.value) : "";
}

/** What an operation is multiplied by: its arguments, but for the text that `replace` looks for. */
function addFactors(roles: Roles, name: string, args: readonly Node[]): void {
  const positional = args.filter(({ type }) => type !== "KeywordArgumentExpression");
  const ignored = name === "replace" ? positional[0] : undefined;
  for (const arg of args) {
    if (arg === ignored) continue;
    const value = arg.type === "KeywordArgumentExpression" && isNode(arg.value) ? arg.value : arg;
    roles.factors.set(value, "factor");
  }
}

function addRoles(roles: Roles, node: Node): void {
  const { type, iterable, operand, filter, callee, args, left, right } = node;
  if (type === "For" && iterable) roles.iterables.add(iterable.lhs ?? iterable);
  if (type === "BinaryExpression") for (const side of [left, right]) if (side) roles.written.add(side);
  if ((type === "FilterExpression" || type === "FilterStatement") && filter) {
    const name = nameOf(filter.callee ?? filter);
    if (operand && !LISTS.has(name)) roles.written.add(operand);
    roles.operations.add(node);
    if (operand) roles.factors.set(operand, "subject");
    addFactors(roles, name, filter.args ?? []);
  } else if (type === "CallStatement") roles.operations.add(node);
  else if (type === "CallExpression" && callee?.type === "MemberExpression" && callee.object) {
    roles.operations.add(node);
    roles.factors.set(callee.object, "subject");
    addFactors(roles, nameOf(callee.property), args ?? []);
  }
}

/** Goes through a whole program once. */
function rolesOf(program: Node): Roles {
  const roles: Roles = {
    iterables: new Set(),
    written: new Set(),
    factors: new Map(),
    operations: new Set(),
  };
  const seen = new Set<object>();
  const left: unknown[] = [program];
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    if (typeof next !== "object" || next === null || seen.has(next)) continue;
    seen.add(next);
    if (isNode(next)) addRoles(roles, next);
    for (const [key, child] of next instanceof Map
      ? [...next].map((pair) => ["", pair])
      : Object.entries(next)) {
      left.push(child);
      // The values of a block's statements become its text.
      if (["body", "alternate", "defaultBlock"].includes(String(key)) && Array.isArray(child))
        for (const statement of child) if (isNode(statement)) roles.written.add(statement);
    }
  }
  return roles;
}

function sizeOf({ value }: Value): number {
  if (typeof value === "string" || Array.isArray(value)) return value.length;
  return value instanceof Map ? value.size : 0;
}

/** Characters of a value as text, indentation by one included; throws where they are too many. */
function writtenSize(value: Value): number {
  let size = 0;
  const add = (part: Value, depth: number): void => {
    size += depth + (typeof part.value === "string" ? part.value.length : 1);
    if (size > MAX_SIZE || depth > MAX_DEPTH) throw new BudgetExceeded();
    if (Array.isArray(part.value)) for (const entry of part.value) add(entry as Value, depth + 1);
    if (part.value instanceof Map)
      for (const [key, entry] of part.value) {
        size += String(key).length;
        add(entry as Value, depth + 1);
      }
  };
  add(value, 0);
  return size;
}

const compiled = new WeakMap<Node, Roles>();

/** Runs a program within a budget of steps, memory and output. */
export class BoundedInterpreter extends Interpreter {
  #cost = 0;
  #roles: Roles | undefined;
  /** The operations that are being evaluated, innermost last. */
  readonly #operations: { subject: number; factor: number; block: number | undefined }[] = [];

  override run(program: Node): Value {
    let roles = compiled.get(program);
    if (!roles) compiled.set(program, (roles = rolesOf(program)));
    this.#roles = roles;
    return super.run(program);
  }

  /** @throws BudgetExceeded */
  override evaluate(node: Node | undefined, environment: Environment): Value {
    const roles = this.#roles;
    if (!node || !roles) return super.evaluate(node, environment);
    const isOperation = roles.operations.has(node);
    // The text of a filter's block is no value of a node: what was charged since its beginning is its size at most.
    const block = node.type === "FilterStatement" ? this.#cost : undefined;
    if (isOperation) this.#operations.push({ subject: 0, factor: 0, block });
    const value = super.evaluate(node, environment);
    if (isOperation) this.#operations.pop();

    const isContainer = Array.isArray(value.value) || value.value instanceof Map;
    const written = isContainer && roles.written.has(node) ? writtenSize(value) : 0;
    const size = Math.max(sizeOf(value), written);
    this.#cost += 1 + (roles.iterables.has(node) ? size * TURN_COST : size / SIZE_PER_COST);
    if (!(this.#cost <= MAX_COST)) throw new BudgetExceeded();

    const role = roles.factors.get(node);
    if (role) this.#multiply(role, typeof value.value === "number" ? Math.abs(value.value) : size);
    return value;
  }

  /** Notes an operand of the innermost operation, and foresees what will come of it. */
  #multiply(role: "subject" | "factor", size: number): void {
    const operation = this.#operations.at(-1);
    if (!operation) return;
    operation[role] += role === "subject" ? size + 1 : size;
    const { block, factor } = operation;
    const subject = block === undefined ? operation.subject : (this.#cost - block) * SIZE_PER_COST;
    if (!(subject * factor <= MAX_SIZE)) throw new BudgetExceeded();
  }
}
