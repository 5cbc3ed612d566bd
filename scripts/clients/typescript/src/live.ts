/** Live events as an async iterator over Server-Sent Events, which resumes after a disconnection. */

import type { Core } from "./core.js";
import { failure } from "./core.js";
import { ApiError, BadAnswer, ConnectionFailed, LiveEnded } from "./errors.js";
import type { LiveFrame } from "./operations.js";

const SHOWN = new Set(["event", "gap", "resync", "unsubscribed", "error"]);
const LONGEST_EVENT = 4 * 1024 * 1024;

/** Iterator over the frames of some topics; it ends with `close` or its signal. */
export interface LiveStream extends AsyncIterable<LiveFrame> {
  /** Position behind the newest frame that was taken. */
  readonly cursor: string;
  close(): void;
}

interface Message {
  id?: string;
  data: string;
}

/** Returns the events of a topic, not connected yet. */
export function liveStream(
  core: Core,
  path: string,
  query: Record<string, unknown>,
  headers: Record<string, string>,
  signal?: AbortSignal,
): LiveStream {
  const ending = new AbortController();
  signal?.addEventListener("abort", () => ending.abort());
  let cursor = headers["Last-Event-ID"] ?? "";
  let heartbeat = 30_000;
  let [least, most] = [0, 3000];

  async function* messages(token: string): AsyncGenerator<Message> {
    const url = core.url(path, query);
    const sent = new Headers({ ...core.settings.headers, ...headers, Accept: "text/event-stream" });
    if (token) sent.set("Authorization", `Bearer ${token}`);
    if (cursor) sent.set("Last-Event-ID", cursor);
    const { response, clear, end, isLate } = await core.open("GET", url, sent, { signal: ending.signal });
    clear();
    ending.signal.addEventListener("abort", end);
    let dead = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      if (response.status >= 400) {
        const content = await response.arrayBuffer();
        throw core.refusal({ status: response.status, headers: response.headers, content, url });
      }
      if (response.status !== 200 || !/^text\/event-stream/.test(response.headers.get("Content-Type") ?? ""))
        throw new BadAnswer(`${url} is no event stream`, response.status);
      const reader = response.body!.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, any>).getReader();
      let [left, data, size]: [string, string[], number] = ["", [], 0];
      let id: string | undefined;
      for (;;) {
        clearTimeout(timer);
        timer = setTimeout(() => ((dead = true), end()), 2 * heartbeat + 5000);
        const { done, value } = await reader.read();
        if (done) return;
        const lines = (left + value).split(/\r?\n/);
        left = lines.pop()!;
        if (left.length + size > LONGEST_EVENT) throw new BadAnswer("an event that is too long");
        for (const line of lines) {
          size += line.length;
          const [, field, text] = /^([^:]*)(?:: ?)?(.*)$/s.exec(line)!;
          if (line === "") {
            if (data.length || id !== undefined) yield { id, data: data.join("\n") };
            [data, size, id] = [[], 0, undefined];
          } else if (field === "data") data.push(text!);
          else if (field === "id") id = text;
          else if (field === "retry" && /^\d+$/.test(text!)) [least, most] = [0, Number(text)];
        }
      }
    } catch (error) {
      throw failure(url, error, dead || isLate());
    } finally {
      clearTimeout(timer);
      ending.signal.removeEventListener("abort", end);
      end();
    }
  }

  async function* frames(): AsyncGenerator<LiveFrame> {
    for (let failures = 0, renewed = false; !ending.signal.aborted; ) {
      const token = core.bearer();
      let wait: number | undefined;
      try {
        for await (const { id, data } of messages(token)) {
          let frame: any = {};
          try {
            if (data) frame = JSON.parse(data);
          } catch {
            throw new BadAnswer("a frame without JSON");
          }
          if (frame.type === "hello") heartbeat = frame.heartbeatSeconds * 1000 || heartbeat;
          if (frame.type === "bye") {
            if (!frame.retryAfterMs) throw new LiveEnded(String(frame.reason));
            [least, most] = [frame.retryAfterMs.min, frame.retryAfterMs.max];
          }
          if (SHOWN.has(frame.type)) {
            failures = 0;
            renewed = false;
            yield frame;
          }
          // Behind the frame only once it was taken.
          if (id) cursor = id;
        }
      } catch (error) {
        if (ending.signal.aborted) return;
        const isRefusal = error instanceof ApiError;
        const isOver = error instanceof LiveEnded && error.reason === "signedOut";
        if (((isRefusal && error.status === 401) || isOver) && !renewed && (await core.renew(token))) {
          renewed = true;
          continue;
        }
        if (isRefusal ? error.status < 500 && error.status !== 429 : !(error instanceof ConnectionFailed)) throw error;
        failures++;
        if (isRefusal && error.retryAfter !== undefined) wait = error.retryAfter * 1000;
      }
      if (ending.signal.aborted) return;
      const longest = Math.min(Math.max(most, 100) * 2 ** Math.min(Math.max(failures - 1, 0), 8), 60_000);
      await core.settings.sleep(wait ?? Math.max(least, least + (longest - least) * Math.random()));
    }
  }

  return {
    get cursor() {
      return cursor;
    },
    close: () => ending.abort(),
    [Symbol.asyncIterator]: frames,
  };
}
