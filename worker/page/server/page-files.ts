/** A file of the page, as worker/page/build.mjs makes it. */
export interface PageFile {
  /** Content-Type. */
  type: string;
  /** Text; base64 of the bytes where `binary`. */
  body: string;
  binary: boolean;
  /** Changes with the body. */
  etag: string;
}

/** By path: `/`, `/page/app.js`, … */
export type PageFiles = Record<string, PageFile>;
