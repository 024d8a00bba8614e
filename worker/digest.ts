import type { StreamingDigest } from "../src/index.ts";

/** The SHA-256 of Workers, which takes a part as its bytes arrive. */
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
