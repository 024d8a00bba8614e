/**
 * Calls of functions: what holds a text to them, and what reads them as they are written.
 *
 * @module edgeformer/calls
 */

export {
  CALL_ARGUMENTS,
  CALL_CLOSE,
  CALL_NAME,
  CALL_OPEN,
  type CallableFunction,
  type CallOptions,
  constrainCalls,
} from "./call-constraint.ts";
export { type CallPiece, CallReader } from "./call-reader.ts";
