import { expect, test } from "vitest";
import { toHex } from "../../src/hex.ts";

test("two digits for each byte, Node's among the witnesses", () => {
  const bytes = Uint8Array.from({ length: 256 }, (_, byte) => byte);
  expect(toHex(bytes)).toBe(Buffer.from(bytes).toString("hex"));
  expect(toHex([0, 0x0a, 0xff])).toBe("000aff");
  expect(toHex([])).toBe("");
});
