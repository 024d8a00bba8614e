// Calls the next stage again and again: POST an exercise.
import type { StageBatch } from "../../../src/chain/stage-message.ts";
import type { StageNamespace } from "../../../worker/chain/stage-link.ts";

export interface Exercise {
  hiddenSize: number;
  /** Rows of each batch, and how many of them come back. */
  rows: number;
  wanted: number;
  batches: number;
}

export default {
  async fetch(request: Request, env: { NEXT: StageNamespace }): Promise<Response> {
    const { hiddenSize, rows, wanted, batches } = (await request.json()) as Exercise;
    const stub = env.NEXT.get(env.NEXT.idFromName("bench"));
    const batch: StageBatch = {
      session: crypto.randomUUID(),
      number: 0,
      layer: 0,
      tables: new Int32Array(),
      rows: new Int32Array(2 * rows),
      wanted: new Int32Array(wanted),
      hiddenStates: new Float32Array(rows * hiddenSize),
    };
    for (let i = 0; i < batches; i++) await stub.run(batch);
    return Response.json({ batches });
  },
};
