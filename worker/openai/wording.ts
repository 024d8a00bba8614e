import type { Model } from "../../src/index.ts";
import type { Delta } from "./wire/choice.ts";

/** How an endpoint words what was computed. */
export interface Wording {
  /** What an id begins with. */
  prefix: string;
  /** `object` of a whole completion. */
  object: string;
  /** `object` of an event. */
  chunk: string;
  /** A whole choice. */
  choice(model: Model, index: number, delta: Delta): object;
  /**
   * What each event that a delta makes says of its choice.
   *
   * @param first whether nothing of this choice was sent before
   */
  pieces(model: Model, index: number, delta: Delta, first: boolean): object[];
}
