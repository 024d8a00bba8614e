import type { Call } from "./calls.ts";
import { element, make, on } from "./dom.ts";

/** The calls as tabs: arrow keys go from one to the next. */
export class CallTabs {
  #calls: Call[] = [];
  #selected = 0;

  constructor(status: (text: string) => void) {
    const copy = element("copy");
    on(copy, "click", async () => {
      try {
        await navigator.clipboard.writeText(this.#calls[this.#selected]?.code ?? "");
        copy.textContent = "Copied";
        status("Copied to the clipboard.");
      } catch {
        // No permission, or a page without https: the code is selected instead.
        getSelection()?.selectAllChildren(element("call"));
        copy.textContent = "Selected: press Ctrl C";
      }
      setTimeout(() => {
        copy.textContent = "Copy";
      }, 2000);
    });
    on(element("tabs"), "keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      this.#selected = (this.#selected + step + this.#calls.length) % this.#calls.length;
      this.#draw();
      document.getElementById(`tab-${this.#calls[this.#selected]?.id}`)?.focus();
    });
  }

  show(calls: Call[]): void {
    this.#calls = calls;
    this.#draw();
  }

  #draw(): void {
    const tabs = element("tabs");
    if (tabs.childElementCount !== this.#calls.length)
      tabs.replaceChildren(...this.#calls.map((call, index) => this.#tab(call, index)));
    [...tabs.children].forEach((tab, index) => {
      tab.setAttribute("aria-selected", String(index === this.#selected));
      (tab as HTMLElement).tabIndex = index === this.#selected ? 0 : -1;
    });
    const call = this.#calls[this.#selected];
    const panel = element("call");
    // Long lines scroll, with the arrow keys too.
    panel.tabIndex = 0;
    panel.setAttribute("aria-labelledby", `tab-${call?.id}`);
    panel.querySelector("code")!.textContent = call?.code ?? "";
  }

  #tab(call: Call, index: number): HTMLElement {
    const tab = make("button", "", call.label);
    tab.id = `tab-${call.id}`;
    tab.setAttribute("type", "button");
    tab.setAttribute("role", "tab");
    tab.setAttribute("aria-controls", "call");
    on(tab, "click", () => {
      this.#selected = index;
      this.#draw();
    });
    return tab;
  }
}
