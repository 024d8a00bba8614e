/** Where a model's files come from: a directory, a URL, an assets binding, a bucket. */
export interface ModelSource {
  /** What to call it in errors. */
  readonly name: string;
  /**
   * The bytes of one file of the model directory, in order; a chunk need not outlive the request for the next
   * one. The next file is opened while one is read: an iterator that is left unread is told by `return()`.
   * Rejects if there is no such file.
   */
  open(file: string, signal?: AbortSignal): Promise<AsyncIterable<Uint8Array>>;
}

/** A SHA-256 being computed. */
export interface StreamingDigest {
  /** Takes the next bytes, which may change once this has returned, or the promise has resolved. */
  update(bytes: Uint8Array): void | Promise<void>;
  /** The digest's 32 bytes. Called once, after the last update. */
  digest(): ArrayBuffer | Uint8Array | Promise<ArrayBuffer | Uint8Array>;
}

/** What loadModel needs, and what it can be told. */
export interface LoadOptions {
  /** The compiled engine (build/engine.wasm). Workers import it; elsewhere `WebAssembly.compile` makes it. */
  module: WebAssembly.Module;
  source: ModelSource;
  /** Positions of the longest sequence; at most the checkpoint's `n_positions`. [what fits `memoryLimit`] */
  context?: number;
  /** Sequences that can run at once. [8] */
  maxSequences?: number;
  /** KV blocks of 16 positions, shared by all sequences. [enough for every sequence, or what fits `memoryLimit`] */
  kvBlocks?: number;
  /** Bytes that linear memory may have; a model that needs more is refused. [wasm's 4 GiB] */
  memoryLimit?: number;
  /** Requests that may wait for room; one more is refused with `overloaded`. [64] */
  maxQueue?: number;
  /** Steps that a request may wait for room before it is refused with `overloaded`. [4096] */
  maxWaitSteps?: number;
  /**
   * Tokens that are guessed per step from the text so far while one sequence runs alone, 0 to 7. It changes the
   * speed of text that repeats itself and nothing else; 0 turns it off. [1]
   */
  promptLookup?: number;
  /**
   * Whether tokens that a constraint leaves no alternative to are read with the next step, rather than each drawn in one
   * of its own. It changes the speed and nothing else. [true]
   */
  fastForward?: boolean;
  /** Called as bytes arrive, and with each file that is begun. What it throws ends the load. */
  onProgress?: (loadedBytes: number, totalBytes: number, file: string) => void;
  /**
   * Starts a SHA-256 that takes a part as its bytes arrive: Node.js has `createHash`, Workers `crypto.DigestStream`.
   * [`crypto.subtle`, which takes a part when it is there as a whole, and may copy it for that]
   */
  digest?: () => StreamingDigest;
  signal?: AbortSignal;
  /**
   * Awaited between two steps, so that other work gets its turn: a resolved promise would starve timers and
   * sockets. [a zero timeout]
   */
  pause?: () => Promise<void>;
  /**
   * For each so many rows of a step there is one more pause before the next: where a pause lets in only a few of those
   * who knock. [none]
   */
  rowsPerPause?: number;
}
