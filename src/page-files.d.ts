/**
 * What `GET /` serves, by path, for createApp's option `page`: a chat, or a page that continues texts for a model without a
 * chat template.
 */
declare const files: Record<string, { type: string; body: string; binary: boolean; etag: string }>;
export default files;
