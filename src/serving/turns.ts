import type { Sequence } from "./sequence.ts";

/**
 * Rows that a sequence may be ahead of one that waits before it has to let that one in. A short answer is never
 * interrupted. One that is set back may have to read its tokens again, for which nobody is charged.
 */
const TURN_ROWS = 256;

/** Rows that somebody who has asked for nothing lately may have before those who ask all the time. */
const CREDIT_ROWS = 512;

/** What a client or a request has had, and what it asks for. */
export interface Share {
  /** Rows computed for it, as they count, on the ledger's clock. */
  rows: number;
  /** Positions that its sequences, waiting or running, can have. */
  asked: number;
  /** Sequences of it that wait or run. */
  sequences: number;
}

interface ClientShare extends Share {
  readonly requests: Ledger<RequestShare>;
}

interface RequestShare extends Share {
  /** Whether a sequence of it was admitted. */
  begun: boolean;
}

/** A sequence's place among the others. Sequences without an owner have one in common. */
export interface Standing {
  readonly client: ClientShare;
  readonly request: RequestShare;
}

/**
 * Who has had how much, among those of one kind: start-time fair queueing (Goyal, Vin, Cheng 1996) with a credit. The
 * clock is what somebody would have had who got an equal share all along. Who comes back starts at most CREDIT_ROWS
 * behind it. Behind the clock a row counts twice, so that those who ask all the time have no credit: newcomers go
 * before them until newcomers take half of all rows, and then wait as everybody does.
 */
class Ledger<S extends Share> {
  readonly #shares = new Map<string, S>();
  readonly #make: () => S;
  #clock = 0;
  #active = 0;

  constructor(make: () => S) {
    this.#make = make;
  }

  get #start(): number {
    return this.#clock - CREDIT_ROWS;
  }

  enter(name: string, positions: number): S {
    let share = this.#shares.get(name);
    if (share === undefined) {
      this.#forget();
      share = this.#make();
      this.#shares.set(name, share);
    }
    if (share.sequences++ === 0) this.#active++;
    share.asked += positions;
    share.rows = Math.max(share.rows, this.#start);
    return share;
  }

  leave(share: S, positions: number): void {
    share.asked -= positions;
    if (--share.sequences === 0) this.#active--;
  }

  charge(share: S): void {
    share.rows += share.rows < this.#clock ? 2 : 1;
    this.#clock += 1 / this.#active;
  }

  /** Drops those who would start as newcomers do. */
  #forget(): void {
    for (const [name, { sequences, rows }] of this.#shares)
      if (sequences === 0 && rows <= this.#start) this.#shares.delete(name);
  }
}

/** What somebody has who comes for the first time. */
const NOTHING: Share = { rows: Number.NEGATIVE_INFINITY, asked: 0, sequences: 0 };

/** Whose turn it is: first among clients, then among the requests of one. */
export class Turns {
  readonly #clients = new Ledger<ClientShare>(() => ({
    ...NOTHING,
    requests: new Ledger<RequestShare>(() => ({
      ...NOTHING,
      begun: false,
    })),
  }));

  /** A sequence comes. */
  enter({ owner, capacity }: Sequence): Standing {
    const { client, request } = owner ?? { client: "", request: "" };
    const share = this.#clients.enter(client, capacity);
    return { client: share, request: share.requests.enter(request, capacity) };
  }

  /** A sequence goes. */
  leave({ client, request }: Standing, { capacity }: Sequence): void {
    client.requests.leave(request, capacity);
    this.#clients.leave(client, capacity);
  }

  /** A row is computed for a sequence. */
  charge({ client, request }: Standing): void {
    client.requests.charge(request);
    this.#clients.charge(client);
  }
}

/** What orders two shares: what one has had, and what it asks for, as far as that is no more than the credit. */
function weight({ rows, asked }: Share): number {
  return rows + Math.min(asked, CREDIT_ROWS);
}

/**
 * How far `a` is ahead of `b`, in rows had and asked for: the client, or the request where it is the same client. Of two
 * who have had the same, who asks for a short answer comes before who asks for long ones or many.
 */
export function rowsAhead(a: Standing, b: Standing): number {
  return a.client === b.client ? weight(a.request) - weight(b.request) : weight(a.client) - weight(b.client);
}

/** Whether a running sequence has had so much more than a waiting one that it has to let that one in. */
export function owesTurn(running: Standing, waiting: Standing): boolean {
  return rowsAhead(running, waiting) >= TURN_ROWS;
}

/**
 * The order in which those who run get rows of a batch: who generates, then who reads a prompt, first of those who have had
 * least. Who generates and owes a turn to each of some readers comes behind these: their first tokens wait for nobody
 * else's next one.
 */
export function orderOfRows<T extends { readonly standing: Standing }>(
  generating: readonly T[],
  reading: readonly T[],
): T[] {
  const readers = reading.toSorted((a, b) => rowsAhead(a.standing, b.standing));
  const owes = (one: T, reader: T | undefined) =>
    reader !== undefined && owesTurn(one.standing, reader.standing);
  const owing = generating.filter((one) => owes(one, readers[0]));
  const urgent = readers.filter((reader) => owing.every((one) => owes(one, reader)));
  const others = generating.filter((one) => !owing.includes(one));
  return owing.length === 0
    ? [...generating, ...readers]
    : [...others, ...urgent, ...owing, ...readers.filter((one) => !urgent.includes(one))];
}
