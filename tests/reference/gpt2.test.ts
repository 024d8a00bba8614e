import { describe, expect, test } from "vitest";
import golden from "../goldens/odd-gpt2.json" with { type: "json" };
import { logSoftmax, ReferenceGpt2 } from "./gpt2.ts";

describe("the float32 reference", () => {
  const model = ReferenceGpt2.load("tests/fixtures/odd-gpt2");
  const V = model.config.vocab_size;

  test.each(golden.cases.map((item) => ({ length: item.ids.length, item })))(
    "agrees with the golden of $length tokens",
    ({ item }) => {
      const logits = model.forward(item.ids);
      item.ids.forEach((_, t) => {
        const logprobs = logSoftmax(logits.subarray(t * V, (t + 1) * V));
        if (t + 1 < item.ids.length)
          expect(logprobs[item.ids[t + 1]!]).toBeCloseTo(item.token_logprobs[t + 1]!, 4);
        item.top_ids[t]!.forEach((id, i) => {
          expect(logprobs[id]).toBeCloseTo(item.top_logprobs[t]![i]!, 4);
        });
        const best = logprobs.indexOf(logprobs.reduce((a, b) => Math.max(a, b), -Infinity));
        expect(best).toBe(item.top_ids[t]![0]);
      });
    },
  );
});
