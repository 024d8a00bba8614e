import { bundledModel, openModel } from "edgeformer/node";
import { conformance } from "./conformance.mjs";

console.log(JSON.stringify(await conformance(await openModel(bundledModel()))));
