import { ISOLATE_BYTES } from "../../../src/engine/memory.ts";
import type { Facts } from "../shared/facts.ts";
import { bytes, element, make } from "./dom.ts";

const whole = (count: number) => count.toLocaleString("en");
const millions = (count: number) => `${(count / 1e6).toFixed(1)} million`;

/** Says that another model should be here, and how to get it. */
export function showStandIn({ name, standIn }: Facts): void {
  const notice = element("stand-in");
  notice.hidden = standIn === null;
  if (standIn)
    notice.replaceChildren(
      make("b", "", `${standIn.missing} is not on this machine, so ${name} stands in for it. `),
      standIn.how,
    );
}

/** Writes the model's facts into the page. */
export function showFacts(facts: Facts): void {
  element("lede").textContent =
    `${facts.name}, ${millions(facts.parameters)} parameters, runs as ${bytes(facts.engineBytes)} of WebAssembly in the very server that sent this page. No GPU, no other service.`;
  const rows: [string, string][] = [
    ["Name", facts.name],
    [
      "Architecture",
      `${facts.architecture}, ${facts.layers} layers, width ${facts.width}, ${facts.heads} heads`,
    ],
    ["Parameters", millions(facts.parameters)],
    ["Context", `${whole(facts.context)} tokens`],
    ["Vocabulary", `${whole(facts.vocabulary)} tokens`],
    [
      "Weights",
      `${bytes(facts.weightBytes)}, ${((8 * facts.weightBytes) / facts.parameters).toFixed(1)} bits a parameter`,
    ],
    ["Engine", `${bytes(facts.engineBytes)} of WebAssembly`],
    [
      "Memory",
      `${bytes(facts.memoryBytes)}, ${Math.round((100 * facts.memoryBytes) / ISOLATE_BYTES)} % of an isolate; constant while serving`,
    ],
    ...(facts.fidelity
      ? [
          [
            "Perplexity",
            `${facts.fidelity.converted.toFixed(2)} converted, ${facts.fidelity.float32.toFixed(2)} in float32, on ${whole(facts.fidelity.tokens)} tokens of ${facts.fidelity.corpus}`,
          ] as [string, string],
        ]
      : []),
    ["Converted from", facts.source],
    ["Fingerprint", facts.fingerprint],
  ];
  element("facts").replaceChildren(
    ...rows.map(([name, value]) => {
      const row = make("div");
      row.append(make("dt", "", name), make("dd", "", value));
      return row;
    }),
  );
}
