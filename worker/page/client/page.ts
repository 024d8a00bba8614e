import type { Facts } from "../shared/facts.ts";
import { explain } from "./answer-error.ts";
import { BrowserSwitch } from "./browser-switch.ts";
import { calls } from "./calls.ts";
import { ChatView } from "./chat-view.ts";
import { CompletionView } from "./completion-view.ts";
import { element, on, showError } from "./dom.ts";
import { getJson } from "./endpoint.ts";
import { showFacts, showStandIn } from "./facts-view.ts";
import { serverPlace } from "./place.ts";
import { Settings } from "./settings.ts";
import { CallTabs } from "./tabs.ts";
import type { View } from "./view.ts";

function say(text: string): void {
  element("status").textContent = text;
}

const form = element<HTMLFormElement>("form");
const tabs = new CallTabs(say);
let view: View | undefined;

/** Puts a chat or a completion where the page said that it waits for the model. */
function show(facts: Facts): void {
  const template = element<HTMLTemplateElement>(facts.chat ? "chat-template" : "completion-template");
  element("view").replaceChildren(template.content.cloneNode(true));
  document.documentElement.classList.toggle("chats", facts.chat !== null);
  const settings = new Settings(facts);
  const server = serverPlace(() => settings.key);
  const browser = new BrowserSwitch(facts, say);
  const changed = () => {
    try {
      if (view) tabs.show(calls(location.origin, facts, view.request()));
    } catch {
      // A schema that is being written is no JSON yet: the call with the last whole one stays.
    }
  };
  view = new (facts.chat ? ChatView : CompletionView)({ facts, settings, server, browser, say, changed });
  on(form, "input", changed);
  changed();
  showFacts(facts);
  showStandIn(facts);
  for (const id of ["settings", "below"]) element(id).hidden = false;
}

/** Reads the facts, which also has the server load its model. */
async function start(): Promise<void> {
  const again = element<HTMLButtonElement>("again");
  again.hidden = true;
  showError();
  try {
    show(await getJson<Facts>("/page/facts.json"));
  } catch (error) {
    showError(explain(error));
    again.hidden = false;
  }
}

on(form, "submit", (event) => {
  event.preventDefault();
  view?.submit();
});
on(form, "keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    form.requestSubmit();
  } else if (event.key === "Escape") view?.stop();
});
on(element("again"), "click", () => void start());
form.hidden = false;
void start();
