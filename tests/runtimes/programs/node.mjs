import { dirname, join } from "node:path";
import { bundledModel, openModel } from "edgeformer/node";
import { conformance } from "./conformance.mjs";

const models = dirname(bundledModel());
console.log(JSON.stringify(await conformance((name) => openModel(join(models, name)))));
