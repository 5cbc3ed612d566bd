/**
 * Client of a forumapi site, for browsers and Node, without dependencies.
 *
 *     const site = new Client("https://bikes.forum.example", token);
 *     const conversation = await site.conversations.get(1);
 *     for await (const comment of conversation.comments) console.log(comment.markdown);
 */

export { Client } from "./client.js";
export type { CallOptions, LiveStream, Page, Settings, TokenSource, Upload } from "./core.js";
export * from "./errors.js";
export type * from "./operations.js";
export * from "./sign-in.js";
export { VERSION } from "./table.js";
