// A stage that does what it is told to do wrong with its next batch: GET /abort, /abort-behind, /delay, /hang, /twice
// or /second; /abort-always until it is told something else.
import engine from "../../../build/engine.wasm";
import type { StageBatch } from "../../../src/chain/stage-message.ts";
import { createStage } from "../../../worker/chain/index.ts";

let fault = "";
let runs = 0;

export class Stage extends createStage({ engine, engineId: "test" }) {
  override async run(batch: StageBatch) {
    runs++;
    const now = fault;
    if (now !== "abort-always") fault = "";
    if (now.startsWith("abort") && now !== "abort-behind") this.#abort();
    if (now === "delay") await scheduler.wait(2000);
    if (now === "hang") await scheduler.wait(3_600_000);
    const answers = [super.run(batch)];
    if (now === "twice" || now === "second") answers.push(super.run(batch));
    const all = await Promise.all(answers);
    if (now === "abort-behind") this.#abort();
    return (now === "second" ? all.at(-1) : all[0])!;
  }

  #abort(): void {
    (this.ctx as unknown as { abort(reason: string): void }).abort("a fault of the test");
  }
}

export default {
  fetch(request: Request): Response {
    const path = new URL(request.url).pathname.slice(1);
    if (path !== "runs") fault = path;
    return Response.json({ runs });
  },
};
