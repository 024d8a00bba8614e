import { createFront } from "../../../worker/chain/index.ts";

export default createFront();
