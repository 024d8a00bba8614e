import { L_INPUT_NORM, L_MLP_INPUT, L_MLP_NORM, L_QUERY_KEY_VALUE } from "../abi";
import { ofLayer, pointer } from "../descriptor";
import { attention } from "./attention";
import { mlp } from "./mlp";
import { normalize } from "./norm";

/**
 * One Transformer block: x += attention(norm(x)), then x += MLP(norm(x)).
 *
 * Every row's keys and values go into the cache. If `wanted` < `rows`, only the `wanted` rows that are listed at
 * REGION_LOGIT_ROWS get a query and are carried on, since nobody reads the others.
 *
 * @returns how many rows are carried on
 */
export function block(layer: i32, rows: i32, wanted: i32): i32 {
  normalize(rows, pointer(ofLayer(layer, L_INPUT_NORM)), pointer(ofLayer(layer, L_QUERY_KEY_VALUE)));
  rows = attention(layer, rows, wanted);
  if (rows == 0) return 0;
  normalize(rows, pointer(ofLayer(layer, L_MLP_NORM)), pointer(ofLayer(layer, L_MLP_INPUT)));
  mlp(layer, rows);
  return rows;
}
