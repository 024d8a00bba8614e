import type { StreamingDigest } from "../src/index.ts";

/** workerd's SHA-256: 82 MB take it 0.15 s, the engine's own 1 s. */
export function streamingDigest(): StreamingDigest {
  const stream = new crypto.DigestStream("SHA-256");
  const writer = stream.getWriter();
  return {
    update: (bytes) => writer.write(bytes),
    digest: async () => {
      await writer.close();
      return stream.digest;
    },
  };
}
