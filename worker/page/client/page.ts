import type { Delta } from "../../openai/wire/choice.ts";
import type { Facts } from "../shared/facts.ts";
import { BrowserModel } from "./browser-model.ts";
import { calls } from "./calls.ts";
import { compare } from "./compare.ts";
import { bytes, element } from "./dom.ts";
import { AnswerError, generateOnServer, getJson } from "./endpoint.ts";
import { showFacts, showStandIn } from "./facts-view.ts";
import type { PageRequest } from "./page-request.ts";
import { Settings } from "./settings.ts";
import { Story } from "./story.ts";
import { CallTabs } from "./tabs.ts";

const generateButton = element<HTMLButtonElement>("generate");
const stopButton = element<HTMLButtonElement>("stop");
const localSwitch = element<HTMLInputElement>("local");
const localHint = element("local-hint");
const verdict = element("verdict");

let facts: Facts | undefined;
let running: AbortController | undefined;
let browserModel: BrowserModel | undefined;

function say(text: string): void {
  element("status").textContent = text;
}

function showError(message: string | undefined): void {
  element("error").hidden = message === undefined;
  element("error").textContent = message ?? "";
}

function explain(error: unknown): string {
  if (error instanceof AnswerError) return error.message;
  if (error instanceof TypeError) return "The server cannot be reached. Is it still running?";
  return error instanceof Error ? error.message : String(error);
}

const story = new Story(say);
const tabs = new CallTabs(say);
const settings = new Settings(showCalls);

function showCalls(): void {
  if (facts) tabs.show(calls(location.origin, facts, settings.request(facts)));
}

/** Measures in this page: from the press of the button to each token's arrival. */
class Stopwatch {
  readonly #started = performance.now();
  #first = 0;
  #last = 0;
  #tokens = 0;

  lap(tokens: number): void {
    if (tokens === 0) return;
    this.#last = performance.now();
    if (this.#tokens === 0) this.#first = this.#last;
    this.#tokens += tokens;
    element("first").textContent = `${Math.round(this.#first - this.#started)} ms`;
    element("count").textContent = String(this.#tokens);
    const seconds = (this.#last - this.#first) / 1000;
    // The time until the first token is spent on the prompt; a rate needs a few tokens after it.
    if (this.#tokens > 4 && seconds > 0)
      element("rate").textContent = String(Math.round((this.#tokens - 1) / seconds));
  }
}

/** Turns the buttons over; the focus stays on the one that can be pressed. */
function setRunning(controller: AbortController | undefined): void {
  const focused = document.activeElement === generateButton || document.activeElement === stopButton;
  running = controller;
  generateButton.disabled = controller !== undefined;
  localSwitch.disabled = controller !== undefined;
  stopButton.disabled = controller === undefined;
  if (focused) (controller ? stopButton : generateButton).focus();
}

/** Streams one run into the page; gives what arrived. */
async function draw(deltas: AsyncIterable<Delta>, watch: Stopwatch, signal: AbortSignal): Promise<Delta[]> {
  const received: Delta[] = [];
  for await (const delta of deltas) {
    if (signal.aborted) break;
    received.push(delta);
    story.add(delta);
    watch.lap(delta.logprobs?.tokens.length ?? 0);
  }
  return received;
}

/** Asks the server for what this browser has written, and says whether it is the same. */
async function check(request: PageRequest, local: Delta[], signal: AbortSignal): Promise<void> {
  verdict.hidden = false;
  verdict.className = "verdict";
  verdict.textContent = "Asking the server for the same text…";
  try {
    const remote: Delta[] = [];
    for await (const delta of generateOnServer(request, settings.key, signal)) remote.push(delta);
    const { identical, tokens, firstDifference } = compare(local, remote);
    verdict.className = identical ? "verdict same" : "verdict different";
    verdict.textContent = identical
      ? `Identical to the server's: ${tokens} tokens, every probability equal to the last bit.`
      : `Not the server's text: they part at token ${(firstDifference ?? tokens) + 1}.`;
  } catch (error) {
    verdict.textContent = signal.aborted
      ? "The comparison with the server was stopped."
      : `Written without the server, which could not be asked for comparison: ${explain(error)}`;
  }
  say(verdict.textContent);
}

async function generate(): Promise<void> {
  if (running) return;
  const watch = new Stopwatch();
  const controller = new AbortController();
  const { signal } = controller;
  setRunning(controller);
  if (!facts) await start();
  if (!facts || signal.aborted) return setRunning(undefined);
  showError(undefined);
  verdict.hidden = true;
  settings.vary();
  showCalls();
  const request = settings.request(facts);
  const local = localSwitch.checked ? browserModel : undefined;
  for (const id of ["rate", "first", "count"]) element(id).textContent = "–";
  element("place").textContent = local ? "this browser" : "the Worker";
  story.begin(typeof request.prompt === "string" ? request.prompt : `${request.prompt.join(" ")} `);
  say("Generating.");
  try {
    const deltas = local ? local.generate(request, signal) : generateOnServer(request, settings.key, signal);
    const received = await draw(deltas, watch, signal);
    story.end();
    const reason = received.at(-1)?.finishReason;
    say(
      `${story.tokenCount} tokens${reason === "stop" ? "; the model ended the text" : ""}. ${element("rate").textContent} tokens per second.`,
    );
    if (local && reason) await check(request, received, signal);
  } catch (error) {
    if (signal.aborted) say(`Stopped after ${story.tokenCount} tokens.`);
    else {
      showError(explain(error));
      if (error instanceof AnswerError && error.status === 401) element("key").focus();
    }
  } finally {
    story.end();
    setRunning(undefined);
  }
}

/** Loads the model into this browser when the switch is first turned on. */
async function switchPlace(): Promise<void> {
  if (!localSwitch.checked || browserModel || !facts) return;
  const progress = element<HTMLProgressElement>("local-progress");
  localSwitch.disabled = true;
  generateButton.disabled = true;
  progress.hidden = false;
  progress.removeAttribute("value");
  localHint.textContent = `Loading ${bytes(facts.weightBytes)} of weights into this browser…`;
  try {
    browserModel = await BrowserModel.load(facts.context, (loadedBytes, totalBytes) => {
      progress.max = totalBytes;
      progress.value = loadedBytes;
    });
    localHint.textContent = "Loaded: the next text is written here, and then compared with the server's.";
  } catch (error) {
    localSwitch.checked = false;
    localHint.textContent = "";
    showError(`The model cannot run in this browser: ${explain(error)}`);
  } finally {
    progress.hidden = true;
    localSwitch.disabled = false;
    generateButton.disabled = false;
    say(localHint.textContent ?? "");
  }
}

let starting: Promise<void> | undefined;

/** Reads the facts, which also has the Worker load its model before the first press of the button. */
function start(): Promise<void> {
  starting ??= readFacts().finally(() => {
    starting = undefined;
  });
  return starting;
}

async function readFacts(): Promise<void> {
  try {
    facts = await getJson<Facts>("/page/facts.json");
    showError(undefined);
    showFacts(facts);
    showStandIn(facts);
    settings.fit(facts);
    showCalls();
    element("local-row").hidden = !facts.publicModel;
    localHint.hidden = !facts.publicModel;
    localHint.textContent = "The same engine and weights in a Web Worker of this page, without the server.";
    element("below").hidden = false;
  } catch (error) {
    showError(explain(error));
  }
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  void generate();
});
element("form").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    element<HTMLFormElement>("form").requestSubmit();
  } else if (event.key === "Escape") running?.abort();
});
stopButton.addEventListener("click", () => running?.abort());
localSwitch.addEventListener("change", () => void switchPlace());

// On a wide screen the controls stand beside the text, where all of them have room.
element<HTMLDetailsElement>("more").open = matchMedia("(min-width: 56.01rem)").matches;
element("needs-script").hidden = true;
element("form").hidden = false;
void start();
