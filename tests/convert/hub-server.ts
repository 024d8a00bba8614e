import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";

export interface HubRequest {
  method: string;
  path: string;
  range: string | undefined;
  authorization: string | undefined;
}

/** A Hugging Face hub with one repository: the routes, headers and errors that its clients rely on. */
export class HubServer {
  readonly requests: HubRequest[] = [];
  /** Break the connection after this many bytes of a large file, this many times. */
  breaks = { afterBytes: 0, times: 0 };
  /** Flip a bit in what is sent of large files. */
  corrupt = false;
  /** Send large files in pieces of this many bytes, with this long in between. */
  pace: { bytes: number; ms: number } | undefined;
  /** Say that large files have this many bytes more than they have. */
  lie = 0;
  /** Take requests and never answer them. */
  isSilent = false;
  /** Begin each answer about the repository, and go on without end or not at all. */
  broken: "endless" | "stalled" | undefined;
  /** Where large files are, if not here. */
  cdn = "";
  /** Names that the repository says it has besides. */
  more: string[] = [];
  /** Answer everything with this status. */
  status: number | undefined;
  readonly #files = new Map<string, Buffer>();
  readonly #claims = new Map<string, Buffer>();
  readonly #server = createServer((request, response) => this.#handle(request, response));
  readonly id: string;
  readonly #token: string | undefined;

  /** @param token needed for every request, if given */
  constructor(id: string, directory: string, token?: string) {
    this.id = id;
    this.#token = token;
    for (const entry of readdirSync(directory, { withFileTypes: true }))
      if (entry.isFile()) this.#files.set(entry.name, readFileSync(join(directory, entry.name)));
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Ranges of a file that were asked for, the one-byte probes left out. */
  downloads(name: string): (string | undefined)[] {
    return this.requests
      .filter(
        ({ path, range }) => path.startsWith("/cdn/") && path.endsWith(`/${name}`) && range !== "bytes=0-0",
      )
      .map(({ range }) => range);
  }

  #handle(request: IncomingMessage, response: ServerResponse): unknown {
    const { pathname } = new URL(request.url ?? "", "http://hub");
    const { range, authorization } = request.headers;
    this.requests.push({ method: request.method ?? "", path: pathname, range, authorization });
    const fail = (status: number, code: string, error: string) => {
      response.writeHead(status, { "Content-Type": "application/json", "X-Error-Code": code });
      return response.end(JSON.stringify({ error }));
    };
    if (this.isSilent) return undefined;
    if (this.status !== undefined) return fail(this.status, "", "as told");
    const cdn = /^\/cdn\/(.+)$/.exec(pathname);
    if (cdn) return this.#send(cdn[1] as string, range, response);
    if (this.#token !== undefined && authorization !== `Bearer ${this.#token}`)
      return fail(401, "RepoNotFound", "Invalid username or password.");
    const route = new RegExp(
      `^/(?:api/models/)?${this.id}/(revision|paths-info|resolve)/([^/]+)(?:/(.+))?$`,
    ).exec(pathname);
    if (route === null) return fail(404, "RepoNotFound", "Repository not found");
    const [, kind, revision, file] = route as unknown as [string, string, string, string | undefined];
    if (!["main", "v2", COMMIT].includes(decodeURIComponent(revision)))
      return fail(404, "RevisionNotFound", `Invalid rev id: ${revision}`);
    if (kind === "revision") {
      response.writeHead(200, { "Content-Type": "application/json" });
      if (this.broken) return this.#sendBroken(response);
      const siblings = [...this.#files.keys(), ...this.more].map((rfilename) => ({ rfilename }));
      response.end(JSON.stringify({ _id: "1", id: this.id, sha: COMMIT, private: false, siblings }));
    } else if (kind === "paths-info") this.#pathsInfo(request, response);
    else if (file === undefined || !this.#files.has(file)) fail(404, "EntryNotFound", "Entry not found");
    else if (this.#isLarge(file)) {
      response.writeHead(302, { Location: `${this.cdn}/cdn/${file}`, "X-Linked-ETag": `"${file}"` });
      response.end();
    } else this.#send(file, range, response);
    return undefined;
  }

  #sendBroken(response: ServerResponse): void {
    const more = () => {
      while (!response.destroyed && response.write(" ".repeat(1 << 16)));
    };
    response.write('{"siblings": [');
    if (this.broken === "endless") more();
    if (this.broken === "endless") response.on("drain", more);
  }

  /** What is said of a file from now on is what would be true of `content`. */
  claim(name: string, content: Uint8Array): void {
    this.#claims.set(name, Buffer.from(content));
  }

  /** Another content of a file, from now on. */
  replace(name: string, content: Uint8Array): void {
    this.#files.set(name, Buffer.from(content));
  }

  async #sendSlowly(
    body: Buffer,
    response: ServerResponse,
    { bytes, ms }: { bytes: number; ms: number },
  ): Promise<void> {
    for (let at = 0; at < body.length && !response.destroyed; at += bytes) {
      response.write(body.subarray(at, at + bytes));
      await setTimeout(ms);
    }
    response.end();
  }

  #isLarge(name: string): boolean {
    return (this.#files.get(name)?.length ?? 0) > 10_000;
  }

  #pathsInfo(request: IncomingMessage, response: ServerResponse): void {
    let body = "";
    request.on("data", (chunk) => (body += chunk));
    request.on("end", () => {
      const { paths } = JSON.parse(body) as { paths: string[] };
      const found = paths.filter((path) => this.#files.has(path));
      response.writeHead(200, { "Content-Type": "application/json" });
      response.end(
        JSON.stringify(
          found.map((path) => {
            const content = this.#claims.get(path) ?? this.#files.get(path)!;
            const oid = createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");
            const sha256 = createHash("sha256").update(content).digest("hex");
            const size = content.length + this.lie;
            return this.#isLarge(path)
              ? { path, type: "file", oid, size, lfs: { oid: sha256, size, pointerSize: 134 } }
              : { path, type: "file", oid, size: content.length };
          }),
        ),
      );
    });
  }

  #send(name: string, range: string | undefined, response: ServerResponse): void {
    const content = Buffer.from(this.#files.get(name)!);
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(range ?? "") ?? [];
    const [start, end] = [
      Number(first ?? 0),
      Math.min(Number(last ?? content.length - 1), content.length - 1),
    ];
    const headers = { ETag: `"${name}"`, "Content-Length": end - start + 1, "Accept-Ranges": "bytes" };
    if (range === undefined) response.writeHead(200, headers);
    else response.writeHead(206, { ...headers, "Content-Range": `bytes ${start}-${end}/${content.length}` });
    if (this.corrupt && end > start) content[end]! ^= 1;
    const body = content.subarray(start, end + 1);
    if (this.pace && body.length > this.pace.bytes) {
      void this.#sendSlowly(body, response, this.pace);
      return;
    }
    if (this.breaks.times === 0 || body.length <= this.breaks.afterBytes) {
      response.end(body);
      return;
    }
    this.breaks.times--;
    response.write(body.subarray(0, this.breaks.afterBytes), () => {
      void setTimeout(20).then(() => response.destroy());
    });
  }
}
