import { toHex } from "../src/hex.ts";
import type { Manifest } from "../src/index.ts";

const known = new WeakMap<Manifest, string>();

/**
 * OpenAI's `system_fingerprint`: the same seed gives the same text as long as this stays the same. It is made of
 * the weights' and the engine's SHA-256 and of the chat template.
 */
export async function fingerprint(manifest: Manifest, engineDigest: string): Promise<string> {
  const cached = known.get(manifest);
  if (cached) return cached;
  const parts = manifest.parts.map((part) => part.sha256).join("");
  const made =
    parts + engineDigest + (manifest.chat_template ?? "") + (manifest.named_chat_templates?.tool_use ?? "");
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(made));
  const value = `fp_${toHex(new Uint8Array(digest, 0, 8))}`;
  known.set(manifest, value);
  return value;
}
