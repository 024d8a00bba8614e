import { createHash, timingSafeEqual } from "node:crypto";
import { setImmediate, setTimeout } from "node:timers/promises";

/** A byte pipe without a buffer: what is written waits until it is read. */
class UnbufferedTransformStream extends TransformStream<Uint8Array, Uint8Array> {
  constructor() {
    super({}, { highWaterMark: 0 }, { highWaterMark: 0 });
  }
}

class HashingStream extends WritableStream<Uint8Array> {
  readonly digest: Promise<ArrayBuffer>;

  constructor(_algorithm: "SHA-256") {
    const hash = createHash("sha256");
    let finish: (digest: ArrayBuffer) => void;
    const digest = new Promise<ArrayBuffer>((resolve) => {
      finish = resolve;
    });
    super({
      write: (bytes) => void hash.update(bytes),
      close: () => finish(new Uint8Array(hash.digest()).buffer),
    });
    this.digest = digest;
  }
}

const scheduler = {
  wait(ms: number, options?: { signal?: AbortSignal }): Promise<void> {
    // A zero timeout takes a millisecond, and a token may take less.
    return ms === 0 ? setImmediate(undefined, options) : setTimeout(ms, undefined, options);
  },
};

/** Defines what workerd adds to the web standards, as far as this folder uses it (worker/globals.d.ts). */
export function defineWorkerGlobals(): void {
  const define = (target: object, name: string, value: unknown) =>
    Object.defineProperty(target, name, { value, configurable: true, writable: true });
  define(globalThis, "scheduler", scheduler);
  define(globalThis, "IdentityTransformStream", UnbufferedTransformStream);
  define(crypto, "DigestStream", HashingStream);
  define(crypto.subtle, "timingSafeEqual", (a: ArrayBuffer, b: ArrayBuffer) =>
    timingSafeEqual(new Uint8Array(a), new Uint8Array(b)),
  );
}
