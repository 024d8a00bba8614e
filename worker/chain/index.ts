/** @module edgeformer/chain */

export type { ChainEnv, ChainOptions } from "./chain-config.ts";
export { createCoordinator } from "./coordinator-object.ts";
export { createFront } from "./front.ts";
export { createStage } from "./stage-object.ts";
