import { readdirSync, readFileSync } from "node:fs";

/** Memory of a process in bytes (proc(5), `status`). */
export interface Resident {
  /** Everything in memory: `anonymous`, and pages of the executable's file. */
  total: number;
  /** Heaps, WebAssembly memory, stacks. */
  anonymous: number;
  /** The highest that `total` has been. */
  peak: number;
}

function statusOf(pid: number): Resident {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const bytes = (field: string) =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) * 1024;
  return { total: bytes("VmRSS"), anonymous: bytes("RssAnon"), peak: bytes("VmHWM") };
}

/** The workerd that this process started; there must be one. */
function workerdPid(): number {
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    let stat: string;
    try {
      stat = readFileSync(`/proc/${entry}/stat`, "utf8");
    } catch {
      continue; // It has ended in the meantime.
    }
    const [, name, parent] = /\((.*)\) \S (\d+) /.exec(stat) ?? [];
    if (name === "workerd" && Number(parent) === process.pid) return Number(entry);
  }
  throw new Error("no workerd is running: this measurement needs Linux");
}

/** Ticks of the clock that /proc counts CPU time with; USER_HZ is 100 on every Linux that Node.js runs on. */
const TICK_MS = 10;

/** CPU time that the workerd that this process started has used so far, all threads, in milliseconds. */
export function workerdCpuMs(): number {
  const stat = readFileSync(`/proc/${workerdPid()}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * TICK_MS;
}

/** Resident memory of the workerd that this process started. */
export function workerdMemory(): Resident {
  return statusOf(workerdPid());
}
