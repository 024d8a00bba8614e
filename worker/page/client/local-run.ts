// What it takes to run the model in this browser: fetched when that is asked for, as the model is.
export { BrowserModel } from "./browser-model.ts";
export { showVerdict } from "./verdict.ts";
