import type { Facts } from "../shared/facts.ts";
import { explain } from "./answer-error.ts";
import { bytes, element, on } from "./dom.ts";
import type { Place } from "./place.ts";

/** local-run.ts, bundled by itself. The name is no literal, so that the bundler leaves the import alone. */
const LOCAL_RUN: string = "/page/local-run.js";

/**
 * The switch "Run in this browser". It says how much it fetches; nothing of the model is fetched before it is turned on, and
 * turning it off while it fetches ends that.
 */
export class BrowserSwitch {
  readonly #input = element<HTMLInputElement>("local");
  readonly #hint = element("local-hint");
  readonly #progress = element<HTMLProgressElement>("local-progress");
  readonly #facts: Facts;
  readonly #say: (text: string) => void;
  #loaded: Place | undefined;
  #loading: AbortController | undefined;

  /** @param say says something to those who listen instead of looking */
  constructor(facts: Facts, say: (text: string) => void) {
    this.#facts = facts;
    this.#say = say;
    element("local-place").hidden = !facts.publicModel;
    this.#offer();
    on(this.#input, "change", () => void this.#turned());
  }

  /** This browser, where the model is here and the switch is on. */
  get place(): Place | undefined {
    return this.#input.checked ? this.#loaded : undefined;
  }

  /** While a text is written, its place stays. */
  set locked(locked: boolean) {
    this.#input.disabled = locked;
  }

  #offer(problem = ""): void {
    const { weightBytes } = this.#facts;
    this.#hint.textContent = `${problem}Fetches ${bytes(weightBytes)} of weights, once. Then the same engine runs in this page, without the server.`;
  }

  async #turned(): Promise<void> {
    this.#loading?.abort();
    if (!this.#input.checked || this.#loaded) return;
    const loading = new AbortController();
    this.#loading = loading;
    this.#progress.hidden = false;
    this.#progress.removeAttribute("value");
    this.#hint.textContent = `Fetching ${bytes(this.#facts.weightBytes)}; until they are here the server answers. Turn it off to stop.`;
    try {
      const { BrowserModel, showVerdict } = (await import(LOCAL_RUN)) as typeof import("./local-run.ts");
      const model = await BrowserModel.load(this.#facts.context, this.#show, loading.signal);
      this.#loaded = {
        name: "this browser",
        generate: (request, signal) => model.generate(request, signal),
        showVerdict,
      };
      this.#hint.textContent = "Loaded: the next text is written here, and then compared with the server's.";
    } catch (error) {
      // One that was turned off may have been turned on again since.
      if (this.#loading !== loading) return;
      this.#input.checked = false;
      this.#offer(loading.signal.aborted ? "" : `The model cannot run in this browser: ${explain(error)} `);
    } finally {
      if (this.#loading === loading) {
        this.#loading = undefined;
        this.#progress.hidden = true;
        this.#say(this.#hint.textContent ?? "");
      }
    }
  }

  readonly #show = (loadedBytes: number, totalBytes: number): void => {
    this.#progress.max = totalBytes;
    this.#progress.value = loadedBytes;
  };
}
