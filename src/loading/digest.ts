import { EdgeformerError } from "../errors.ts";
import type { FileInfo } from "../format/manifest.ts";
import { toHex } from "../hex.ts";
import type { StreamingDigest } from "./load-options.ts";

/**
 * The platform's digest of `bytes` as a whole, which need not be there before the end.
 *
 * @throws EdgeformerError `unsupported_runtime` where there is none
 */
export function wholeDigest(bytes: Uint8Array<ArrayBuffer>): StreamingDigest {
  const subtle: SubtleCrypto | undefined = crypto.subtle;
  if (subtle === undefined)
    throw new EdgeformerError(
      "unsupported_runtime",
      "this page cannot verify a model: browsers have crypto.subtle over https and on localhost only; serve the page so, or pass a `digest`",
    );
  return { update: () => {}, digest: () => subtle.digest("SHA-256", bytes) };
}

/** @throws EdgeformerError `invalid_model` where the digest of a file is not the one that the manifest has */
export async function verify({ file, sha256 }: FileInfo, digest: StreamingDigest): Promise<void> {
  if (toHex(new Uint8Array(await digest.digest())) !== sha256)
    throw new EdgeformerError(
      "invalid_model",
      `${file}: the SHA-256 is not the one in model.json; the file is damaged, copy or convert it again`,
    );
}
