import type { Facts } from "../shared/facts.ts";
import type { BrowserSwitch } from "./browser-switch.ts";
import type { PageRequest } from "./page-request.ts";
import type { Place } from "./place.ts";
import type { Settings } from "./settings.ts";

/** What the page gives to the chat or the completion that it shows. */
export interface Surroundings {
  facts: Facts;
  settings: Settings;
  server: Place;
  browser: BrowserSwitch;
  /** Says something to those who listen instead of looking. */
  say(text: string): void;
  /** Tells that another request would be made now. */
  changed(): void;
}

/** A chat or a completion. */
export interface View {
  /** The request that "The same call from your code" spells out. */
  request(): PageRequest;
  /** The form was sent. */
  submit(): void;
  /** Ends what is being written. */
  stop(): void;
}
