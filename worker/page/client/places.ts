import type { Delta } from "../../openai/wire/choice.ts";
import type { BrowserSwitch } from "./browser-switch.ts";
import { generateOnServer } from "./endpoint.ts";
import type { PageRequest } from "./page-request.ts";

/** Where a text is written. */
export interface Place {
  name: "the server" | "this browser";
  generate(request: PageRequest, signal: AbortSignal): AsyncIterable<Delta>;
}

/** The server, and this browser while its switch is on. */
export class Places {
  readonly server: Place;
  readonly #browser: BrowserSwitch;

  /** @param key gives the API key to send, or nothing */
  constructor(key: () => string, browser: BrowserSwitch) {
    this.#browser = browser;
    this.server = {
      name: "the server",
      generate: (request, signal) => generateOnServer(request, key(), signal),
    };
  }

  get current(): Place {
    const { model } = this.#browser;
    if (!model) return this.server;
    return { name: "this browser", generate: (request, signal) => model.generate(request, signal) };
  }

  /** While a text is written, its place stays. */
  set locked(locked: boolean) {
    this.#browser.locked = locked;
  }
}
