import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/** The Chromium of this machine, or the one that CHROMIUM names. */
function findChromium(): string | undefined {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  const folders = (process.env.PATH ?? "").split(delimiter);
  return folders
    .flatMap((folder) => NAMES.map((name) => join(folder, name)))
    .find((path) => existsSync(path));
}

const executablePath = findChromium();

/** Whether the suite can run. On a build server it must, so that a missing browser is a failure there. */
export const canRun = executablePath !== undefined || process.env.CI !== undefined;
if (!canRun)
  console.warn(
    "No Chromium on this machine: the page's tests are left out. Install it (apt-get install chromium) or set CHROMIUM to its path.",
  );

export function launch(): Promise<Browser> {
  return chromium.launch({
    ...(executablePath === undefined ? {} : { executablePath }),
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking"],
  });
}

export interface Visit {
  page: Page;
  /** Errors and warnings of the console, and exceptions that nobody caught. */
  complaints: string[];
  /** Every address that the page asked for. */
  requests: string[];
  close(): Promise<void>;
}

/** Opens the page in a profile of its own and waits until the facts are there. */
export async function visit(browser: Browser, url: URL, options: BrowserContextOptions = {}): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width: 1180, height: 900 }, ...options });
  const page = await context.newPage();
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => requests.push(request.url()));
  await page.goto(url.href);
  if (options.javaScriptEnabled !== false) await page.locator("#facts div").first().waitFor();
  return { page, complaints, requests, close: () => context.close() };
}

/** Makes the next text the same each time. */
export async function fixSeed(page: Page, seed = 7): Promise<void> {
  await page.fill("#seed", String(seed));
}

export async function setSlider(page: Page, id: string, value: number): Promise<void> {
  await page.locator(`#${id}`).fill(String(value));
}

/** Waits for the end of a generation that has been started. */
export async function finished(page: Page): Promise<void> {
  await page.waitForFunction(
    () =>
      document.querySelector("[aria-busy='true']") === null &&
      document.querySelector<HTMLButtonElement>("#generate")?.hidden === false,
  );
}

export async function generate(page: Page): Promise<void> {
  await page.click("#generate");
  await finished(page);
}

/**
 * Presses Stop within the page once `tokens` tokens are drawn: a click from here would come late, sometimes after
 * a short text has ended by itself.
 */
export async function stopAfter(page: Page, tokens: number): Promise<void> {
  await page.evaluate((wanted) => {
    const view = document.querySelector("#view")!;
    const observer = new MutationObserver(() => {
      if (view.querySelectorAll("[aria-busy='true'] .token").length < wanted) return;
      observer.disconnect();
      document.querySelector<HTMLButtonElement>("#stop")!.click();
    });
    observer.observe(view, { childList: true, subtree: true });
  }, tokens);
}

/** The prompt and what follows it, as the page shows it. */
export async function storyText(page: Page): Promise<string> {
  return (await page.locator("#story").textContent()) ?? "";
}

/** What the generated tokens say, without the prompt. */
export async function tokenTexts(page: Page): Promise<string[]> {
  return page.locator("#story .token").allTextContents();
}

/** Says something in a chat and waits for the end of the answer. */
export async function ask(page: Page, message: string): Promise<void> {
  await page.fill("#prompt", message);
  await generate(page);
}

/** Every answer in a chat, as the page shows it. */
export async function answers(page: Page): Promise<string[]> {
  return page.locator(".answer").allTextContents();
}

/** Loads the model into the browser and leaves the switch on. */
export async function runInBrowser(page: Page): Promise<void> {
  await page.locator("#local").check({ force: true });
  await page.locator("#local-hint", { hasText: "Loaded" }).waitFor();
}
