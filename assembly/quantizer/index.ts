// The converter's arithmetic: the module that calibrated rounding runs in (src/convert/quantize/quantizer.ts). It has
// nothing to do with the engine and is never loaded by it.

export { factor } from "./factor";
export { multiplyPanel } from "./panel";
export { refinePanel } from "./refine";
export { roundPanel } from "./round";
export { solvePanel } from "./solve";
export { fitSteps } from "./steps";
