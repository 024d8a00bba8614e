import { HttpError } from "./errors.ts";

/** How often somebody who waits for memory looks again. */
const POLL_MS = 10;
/** What a request may hold that counts as a small one. */
const SMALL_BYTES = 64 * 1024;
/** The share of the whole that those who hold more may have together. */
const LARGE_SHARE = 0.75;

/** How long somebody waits for memory before a slow upload has to make room. */
const FORBEARANCE_MS = 250;
/** An upload that has lasted longer than this, and brought less each second, is slow. */
const [SLOW_AFTER_MS, SLOW_BYTES] = [500, 16 * 1024];

/** What one request holds. */
interface Holding {
  bytes: number;
  /** When it counts for nothing any more: its request has died without saying so. */
  endsAt: number;
  /** What has come of its body, as long as that is under way. */
  upload: { startedAt: number; bytes: number } | undefined;
  /** Whether it has to be given up, for others who wait. */
  isLost: boolean;
}

/**
 * The memory that requests under way may take together: bodies that are being read, and answers that are kept until
 * they are whole. It is a ledger, not a heap: a request says beforehand what it can need at most.
 *
 * Large requests leave a quarter to small ones, so that a few of them cannot keep everybody out.
 */
export class RequestMemory {
  readonly #bytes: number;
  readonly #holdings = new Set<Holding>();

  /** @param bytes that all requests may hold together */
  constructor(bytes: number) {
    this.#bytes = bytes;
  }

  /** What a single request can have at most. */
  get most(): number {
    return Math.floor(this.#bytes * LARGE_SHARE);
  }

  /** Bytes that are held now. */
  get held(): number {
    let sum = 0;
    for (const { bytes } of this.#living()) sum += bytes;
    return sum;
  }

  lease(): Lease {
    return new Lease(this);
  }

  /** Makes a holding of this size, or changes one that there is; false, and nothing changes, without room. */
  change(holding: Holding, bytes: number, lastsMs: number): boolean {
    const living = this.#living();
    let others = 0;
    let large = 0;
    for (const other of living) {
      if (other === holding) continue;
      others += other.bytes;
      if (other.bytes > SMALL_BYTES) large += other.bytes;
    }
    const fits =
      bytes <= holding.bytes ||
      (others + bytes <= this.#bytes && (bytes <= SMALL_BYTES || large + bytes <= this.most));
    if (!fits) return false;
    holding.bytes = bytes;
    holding.endsAt = Date.now() + lastsMs;
    if (bytes > 0) living.add(holding);
    else living.delete(holding);
    return true;
  }

  /**
   * Has the slowest uploads given up, as many as make room for so many bytes: bodies that hardly move must not keep out
   * those who have sent theirs.
   */
  makeRoom(bytes: number): void {
    const now = Date.now();
    const living = [...this.#living()].filter((one) => bytes <= SMALL_BYTES || one.bytes > SMALL_BYTES);
    let room = living.reduce((sum, one) => sum + (one.isLost ? one.bytes : 0), 0);
    const rateOf = ({ upload }: Holding) =>
      upload && now > upload.startedAt + SLOW_AFTER_MS
        ? (1000 * upload.bytes) / (now - upload.startedAt)
        : SLOW_BYTES;
    const slow = living.filter((one) => !one.isLost && rateOf(one) < SLOW_BYTES);
    for (const one of slow.sort((a, b) => rateOf(a) - rateOf(b))) {
      if (room >= bytes) return;
      one.isLost = true;
      room += one.bytes;
    }
  }

  #living(): Set<Holding> {
    const now = Date.now();
    for (const holding of this.#holdings) if (holding.endsAt <= now) this.#holdings.delete(holding);
    return this.#holdings;
  }
}

/** What one request holds of the memory. */
export class Lease {
  readonly #memory: RequestMemory;
  readonly #holding: Holding = { bytes: 0, endsAt: 0, upload: undefined, isLost: false };

  constructor(memory: RequestMemory) {
    this.#memory = memory;
  }

  /** What a request can hold at most. */
  get most(): number {
    return this.#memory.most;
  }

  /**
   * Holds this many bytes from now on, instead of what it held.
   *
   * @param lastsMs after this time it counts for nothing
   * @throws HttpError 503 where there is no room now
   */
  hold(bytes: number, lastsMs: number): void {
    if (!this.#memory.change(this.#holding, bytes, lastsMs))
      throw HttpError.overloaded("no memory is left for it");
  }

  /** The same, where it held less. */
  holdAtLeast(bytes: number, lastsMs: number): void {
    this.hold(Math.max(bytes, this.#holding.bytes), lastsMs);
  }

  /** Whether the body has to be given up, for others who wait. */
  get isLost(): boolean {
    return this.#holding.isLost;
  }

  /** Notes that a body has begun to come. */
  beginUpload(): void {
    this.#holding.upload = { startedAt: Date.now(), bytes: 0 };
  }

  /** Notes what has come of it. */
  arrived(bytes: number): void {
    if (this.#holding.upload) this.#holding.upload.bytes += bytes;
  }

  /** Notes that it is there. */
  endUpload(): void {
    this.#holding.upload = undefined;
  }

  /** The same as `hold`, but waits for room; who is slow to send has to make some. */
  async wait(bytes: number, lastsMs: number, patienceMs: number): Promise<void> {
    for (let waited = 0; !this.#memory.change(this.#holding, bytes, lastsMs); waited += POLL_MS) {
      if (waited >= patienceMs) this.hold(bytes, lastsMs);
      if (waited >= FORBEARANCE_MS) this.#memory.makeRoom(bytes);
      await scheduler.wait(POLL_MS);
    }
  }

  release(): void {
    this.endUpload();
    this.#memory.change(this.#holding, 0, 0);
  }
}
