import { EdgeformerError } from "../errors.ts";
import type { Sequence } from "./sequence.ts";
import { rowsAhead, type Standing, Turns } from "./turns.ts";

/** A sequence that waits for a slot and blocks. */
export interface Waiting {
  readonly sequence: Sequence;
  readonly standing: Standing;
  /** Step at which it came. */
  readonly since: number;
  /** How often it was set back before it had delivered anything worth it. */
  readonly fruitless: number;
  /** Positions that it was charged for before it was set back; 0 for one that was never admitted. */
  readonly charged: number;
}

function isOwned({ sequence }: Waiting): boolean {
  return sequence.owner !== undefined;
}

function overloaded(message: string): EdgeformerError {
  return new EdgeformerError("overloaded", `${message}: try again later`);
}

/** Those who wait, and who of them is next. */
export class WaitingLine {
  readonly turns = new Turns();
  readonly #maxQueue: number;
  readonly #maxWaitSteps: number;
  /** In the order in which they came. */
  readonly #waiting: Waiting[] = [];

  constructor(maxQueue: number, maxWaitSteps: number) {
    this.#maxQueue = maxQueue;
    this.#maxWaitSteps = maxWaitSteps;
  }

  /** Sequences that wait. */
  get length(): number {
    return this.#waiting.length;
  }

  /**
   * Takes a newcomer in. Where the line is full, the last request of the client who has the most in it gives way to a
   * client who has fewer.
   *
   * @param freeSlots so many may come besides, since they need not wait
   * @throws EdgeformerError `overloaded`
   */
  enter(sequence: Sequence, since: number, freeSlots: number): void {
    const standing = this.turns.enter(sequence);
    const newcomer = { sequence, standing, since, fruitless: 0, charged: 0 };
    const { request } = standing;
    const inside = isOwned(newcomer) && (request.begun || request.sequences > 1);
    if (!inside) {
      const requests = this.#requests();
      if (requests.length >= this.#maxQueue + freeSlots) {
        const last = lastOfGreedier(requests, standing);
        const error = overloaded(`${requests.length} requests are waiting`);
        if (last === undefined) {
          this.turns.leave(standing, sequence);
          throw error;
        }
        for (const waiting of last) this.#leave(waiting, error);
      }
    }
    this.#waiting.push(newcomer);
  }

  /** Takes back one that was set back. */
  enterAgain(waiting: Waiting): void {
    this.#waiting.push(waiting);
  }

  /** Who has had least; of equal ones, who came first. */
  next(passed: ReadonlySet<Waiting>): Waiting | undefined {
    let next: Waiting | undefined;
    for (const waiting of this.#waiting)
      if (!passed.has(waiting) && (next === undefined || rowsAhead(waiting.standing, next.standing) < 0))
        next = waiting;
    return next;
  }

  /** Takes one out whose turn it is. */
  take(waiting: Waiting): void {
    this.#waiting.splice(this.#waiting.indexOf(waiting), 1);
  }

  /** Forgets a sequence, if it waits. */
  remove(sequence: Sequence): void {
    const waiting = this.#waiting.find((entry) => entry.sequence === sequence);
    if (waiting === undefined) return;
    this.take(waiting);
    this.turns.leave(waiting.standing, sequence);
  }

  /** Refuses requests that have waited too long for their first row; their owners find the error when they look. */
  refuseLate(steps: number): void {
    for (const sequences of this.#requests())
      for (const waiting of sequences)
        if (steps - waiting.since > this.#maxWaitSteps)
          this.#leave(waiting, overloaded(`there was no room for ${this.#maxWaitSteps} steps`));
  }

  /** Nobody's turn will come. */
  refuseAll(error: Error): void {
    for (const waiting of [...this.#waiting]) this.#leave(waiting, error);
  }

  #leave(waiting: Waiting, error: Error): void {
    this.remove(waiting.sequence);
    waiting.sequence.error = error;
  }

  /** Requests that wait for their first row, each with its sequences. A sequence without an owner is one by itself. */
  #requests(): Waiting[][] {
    const requests = new Map<object, Waiting[]>();
    for (const waiting of this.#waiting) {
      const { request } = waiting.standing;
      if (isOwned(waiting) && request.begun) continue;
      const key = isOwned(waiting) ? request : waiting;
      const sequences = requests.get(key);
      if (sequences === undefined) requests.set(key, [waiting]);
      else sequences.push(waiting);
    }
    return [...requests.values()];
  }
}

/** The last request of the client who has the most in line, if that is more than the newcomer will have. */
function lastOfGreedier(requests: Waiting[][], { client }: Standing): Waiting[] | undefined {
  const counts = new Map<object, number>();
  for (const [first] of requests)
    counts.set(first!.standing.client, (counts.get(first!.standing.client) ?? 0) + 1);
  let [greediest, most] = [client as object, (counts.get(client) ?? 0) + 1];
  for (const [one, count] of counts) if (count > most) [greediest, most] = [one, count];
  return greediest === client
    ? undefined
    : requests.findLast(([first]) => first!.standing.client === greediest);
}
