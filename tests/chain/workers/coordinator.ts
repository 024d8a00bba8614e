import engine from "../../../build/engine.wasm";
import { createCoordinator } from "../../../worker/chain/index.ts";

export const Coordinator = createCoordinator({ engine, engineId: "test" });

export default { fetch: () => new Response(null, { status: 404 }) };
