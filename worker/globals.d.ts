// The part of what workerd adds to the web standards that this folder uses.

declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}

interface Scheduler {
  /** Resolves after `ms`. Unlike a resolved promise it lets sockets and timers have their turn. */
  wait(ms: number, options?: { signal?: AbortSignal }): Promise<void>;
}

/** A byte pipe without a buffer: `write` resolves once the bytes were read, and rejects once nobody will. */
declare class IdentityTransformStream extends TransformStream<Uint8Array, Uint8Array> {}

interface SubtleCrypto {
  /** Compares in a time that does not depend on where the contents differ. Throws if the lengths do. */
  timingSafeEqual(a: ArrayBufferView | ArrayBuffer, b: ArrayBufferView | ArrayBuffer): boolean;
}

interface Crypto {
  /** Hashes what is written to it, a chunk at a time. */
  DigestStream: new (
    algorithm: "SHA-256",
  ) => WritableStream<Uint8Array> & { readonly digest: Promise<ArrayBuffer> };
}

declare module "cloudflare:workers" {
  /** An object that lives in one place and keeps its memory between requests, until it is evicted. */
  export class DurableObject<E> {
    readonly ctx: import("./chain/chain-config.ts").ObjectContext;
    readonly env: E;
    constructor(ctx: import("./chain/chain-config.ts").ObjectContext, env: E);
  }
}

declare module "*/engine-digest.js" {
  /** SHA-256 of build/engine.wasm; worker/prepare.mjs writes it. */
  const digest: string;
  export default digest;
}

declare module "*/page-files.js" {
  /** What worker/page/build.mjs writes. */
  const files: import("./page/server/page-files.ts").PageFiles;
  export default files;
}
