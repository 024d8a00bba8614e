import { WebSocket } from "ws";

/** The JavaScript heap of a Worker's isolate, asked from workerd's inspector (Chrome DevTools Protocol). */
export interface Heap {
  /** Bytes of the objects that are alive. */
  aliveBytes(): Promise<number>;
  close(): void;
}

/** Opens the heap of the Worker called `name`; `inspector` is the address that Miniflare gives. */
export async function openHeap(inspector: URL, name: string): Promise<Heap> {
  const list = await fetch(new URL("/json", `http://${inspector.host}`));
  const targets = (await list.json()) as { webSocketDebuggerUrl: string }[];
  const target = targets.find((one) => one.webSocketDebuggerUrl.endsWith(`:user:${name}`));
  if (target === undefined)
    throw new Error(`the inspector knows no Worker ${name}: ${JSON.stringify(targets)}`);
  const socket = new WebSocket(target.webSocketDebuggerUrl);
  const waiting = new Map<number, (usedSize: number) => void>();
  socket.on("message", (data) => {
    const { id, result } = JSON.parse(String(data)) as { id?: number; result?: { usedSize?: number } };
    if (id !== undefined && result?.usedSize !== undefined) waiting.get(id)?.(result.usedSize);
  });
  await new Promise((resolve, reject) => socket.on("open", resolve).on("error", reject));
  let last = 0;
  const send = (method: string) => socket.send(JSON.stringify({ id: ++last, method }));
  send("Runtime.enable");
  return {
    aliveBytes: () =>
      new Promise((resolve) => {
        // The inspector keeps what was logged.
        send("Runtime.discardConsoleEntries");
        // workerd does not answer to HeapProfiler.collectGarbage, but a snapshot begins with a collection; one
        // command is done after the other, and the snapshot's text is not listened to.
        send("HeapProfiler.takeHeapSnapshot");
        send("Runtime.getHeapUsage");
        waiting.set(last, resolve);
      }),
    close: () => socket.close(),
  };
}
