import type { CliStream } from "./io.ts";
import { oneLine } from "./terminal.ts";

/** Nothing is shown for work that takes less than this. */
const QUIET_MS = 1000;
/** How often a terminal's line is redrawn, and a log gets a new one. */
const TERMINAL_MS = 100;
const LOG_MS = 5000;
const BAR_WIDTH = 24;

/** "12.3 MB": decimal megabytes, as file sizes are given. */
export function formatBytes(bytes: number): string {
  if (bytes < 1e6) return `${(bytes / 1e3).toFixed(1)} kB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}

/**
 * A progress bar for work measured in bytes, or as a share of 1: redrawn in place on a terminal, a line now and then elsewhere,
 * nothing at all for work of less than a second.
 */
export class ProgressBar {
  readonly #stream: CliStream;
  readonly #now: () => number;
  readonly #started: number;
  #step = "";
  #stepStarted = 0;
  #stepFrom = 0;
  #drawn = Number.NEGATIVE_INFINITY;
  #width = 0;
  #complete = false;

  /** @param now milliseconds */
  constructor(stream: CliStream, now: () => number = () => performance.now()) {
    this.#stream = stream;
    this.#now = now;
    this.#started = now();
  }

  update(name: string, done: number, total: number): void {
    const step = oneLine(name);
    const now = this.#now();
    if (step !== this.#step) {
      this.clear();
      this.#step = step;
      this.#stepStarted = now;
      this.#stepFrom = done;
      this.#drawn = Number.NEGATIVE_INFINITY;
      this.#complete = false;
    }
    const interval = this.#stream.isTTY ? TERMINAL_MS : LOG_MS;
    const due = now - this.#drawn >= interval || (done >= total && !this.#complete);
    if (now - this.#started < QUIET_MS || !due) return;
    this.#drawn = now;
    this.#complete = done >= total;
    const share = total > 0 ? Math.min(1, done / total) : 1;
    const text = `${step}${this.#bytes(done, total, now)} ${Math.floor(share * 100)} %`;
    if (!this.#stream.isTTY) {
      this.#stream.write(`${text}\n`);
      return;
    }
    const filled = Math.round(share * BAR_WIDTH);
    const line = `[${"#".repeat(filled)}${"-".repeat(BAR_WIDTH - filled)}] ${text}`;
    this.#stream.write(`\r${line.padEnd(this.#width)}`);
    this.#width = line.length;
  }

  /** " 1.0 of 12.0 MB, 3.1 MB/s"; nothing for a total of 1, which is a share and no size. */
  #bytes(done: number, total: number, now: number): string {
    if (total <= 1) return "";
    const seconds = (now - this.#stepStarted) / 1000;
    const speed = seconds > 0.2 ? `, ${formatBytes((done - this.#stepFrom) / seconds)}/s` : "";
    return ` ${formatBytes(done)} of ${formatBytes(total)}${speed}`;
  }

  /** Leaves a clean line behind. */
  clear(): void {
    if (this.#width > 0) this.#stream.write(`\r${" ".repeat(this.#width)}\r`);
    this.#width = 0;
  }
}
