/** Exchanges with a server: retries, idempotency keys, memory of entity tags, limits on time and size, pages. */

import {
  ApiError,
  BadAnswer,
  ConnectionFailed,
  ForumError,
  NotShown,
  OAuthRefused,
  TimedOut,
  classOf,
} from "./errors.js";
import { liveStream, type LiveStream } from "./live.js";
import { GROUPS, HEADERS, TABLE } from "./table.js";

/** Source of access tokens that can be renewed. */
export interface TokenSource {
  /** Returns the token to send, "" for none. */
  accessToken(): string;
  /** Gets another token in place of `refused`; false if that can't be done. */
  renew(refused: string): Promise<boolean>;
}

/** Limits of a client. Times are in milliseconds, sizes in bytes. */
export interface Settings {
  /** From the request to the end of the answer, of one try. */
  timeout: number;
  largestAnswer: number;
  /** Tries in all, and the longest Retry-After that is waited for. */
  tries: number;
  longestWait: number;
  /** First wait where the server names none; doubled each time, a random part of it. */
  firstWait: number;
  /** Entity tags: answers that are kept, and their bytes together. */
  etags: number;
  etagBytes: number;
  headers: Record<string, string>;
  fetch: typeof fetch;
  sleep: (milliseconds: number) => Promise<void>;
}

/** What every call takes beside its own parameters. */
export interface CallOptions {
  signal?: AbortSignal;
  headers?: Record<string, string>;
  /** Of uploads: called with the bytes handed over so far, and all of them. */
  onProgress?: (sent: number, total: number) => void;
}

/** File to upload: a browser's File, or a Blob with a name. */
export type Upload = File | { name: string; content: Blob };

/** Page of a list. Iterated, it gives its own items and those of all following pages. */
export interface Page<T> extends AsyncIterable<T> {
  items: T[];
  limit: number;
  /** Returns the following page, null at the end. */
  next(): Promise<this | null>;
}

interface Operation {
  verb: string;
  path: string;
  flags: string;
}

interface Answer {
  status: number;
  headers: Headers;
  content: ArrayBuffer;
  url: string;
}

type Json = any;

const VERBS: Record<string, string> = { G: "GET", P: "POST", U: "PUT", A: "PATCH", D: "DELETE" };
const text = (answer: Answer): string => new TextDecoder().decode(answer.content);

const parsed = (answer: Answer): Json => {
  try {
    return JSON.parse(text(answer));
  } catch {
    throw new BadAnswer(`${answer.status} without JSON from ${answer.url}`, answer.status);
  }
};

const isObject = (value: Json): boolean => typeof value === "object" && value !== null && !Array.isArray(value);

const DEFAULTS: Settings = {
  timeout: 60_000,
  largestAnswer: 64 * 1024 * 1024,
  tries: 4,
  longestWait: 60_000,
  firstWait: 500,
  etags: 256,
  etagBytes: 8 * 1024 * 1024,
  headers: {},
  fetch: (...args) => fetch(...args),
  sleep: (milliseconds) => new Promise((done) => setTimeout(done, milliseconds)),
};

/** What the groups of a client call. */
export class Core {
  readonly settings: Settings;
  readonly address: string;
  private kept = new Map<string, Answer>();
  private keptBytes = 0;

  /** `token` is a text, a source of tokens, or "" for a guest. */
  constructor(
    address: string,
    public token: string | TokenSource = "",
    settings: Partial<Settings> = {},
  ) {
    this.address = new URL(address).origin;
    this.settings = { ...DEFAULTS, ...settings };
  }

  /** Returns the token to send now. */
  bearer(): string {
    return typeof this.token === "string" ? this.token : this.token.accessToken();
  }

  /** Returns true if there is another token now in place of `refused`. */
  async renew(refused: string): Promise<boolean> {
    return typeof this.token !== "string" && (await this.token.renew(refused));
  }

  /** Returns the whole address of a path; BadAnswer for one of another host, which must not get the token. */
  url(path: string, query: Record<string, unknown> = {}): string {
    const whole = new URL(path, this.address);
    if (whole.origin !== this.address) throw new BadAnswer(`${path} is not on ${this.address}`);
    for (const [name, value] of Object.entries(query))
      for (const one of Array.isArray(value) ? value : [value])
        if (one !== undefined && one !== null) whole.searchParams.append(name, String(one));
    return whole.href;
  }

  /** Returns what an operation answers with. */
  async call(operation: Operation, args: Json[]): Promise<Json> {
    const { verb, flags } = operation;
    const left = [...args];
    const path = operation.path.replace(/\{(\w+)\}/g, (_, name) => {
      const part = encodeURIComponent(String(left.shift()));
      if (/^(\.{0,2}|undefined)$/.test(part)) throw new ForumError(`${name} may not be empty, . or ..`);
      return part;
    });
    const sent = /[jfm]/.exec(flags)?.[0];
    const body = sent && left.shift();
    const { signal, onProgress, headers: more, ...options }: Json = left.shift() ?? {};
    const query: Record<string, unknown> = {};
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(options)) {
      if (value === undefined) continue;
      if (HEADERS[name]) headers[HEADERS[name]] = String(value);
      else query[name] = value;
    }
    if (flags.includes("p")) headers.Prefer ??= "return=representation";
    // The status line is 200 then, which no browser follows or repeats; `status` of the envelope is meant.
    if (verb !== "GET" ? !/[btys]/.test(flags) : flags.includes("l")) headers["X-Always-200"] = "1";
    Object.assign(headers, more);
    if (flags.includes("s")) return liveStream(this, path, query, headers, signal);
    const form = sent === "m" ? formOf(body) : undefined;
    if (sent === "j") headers["Content-Type"] = "application/json";
    const content =
      form ?? (sent === "j" ? JSON.stringify(body) : sent === "f" ? new URLSearchParams(body) : undefined);
    const answer = await this.exchange(verb, this.url(path, query), headers, {
      body: content,
      takesKey: flags.includes("k"),
      signal,
      onProgress,
    });
    return this.given(flags, answer);
  }

  /**
   * Returns an answer of 200 to 399, after as many tries as are safe.
   *
   * A read, and a write with an idempotency key, is repeated when the connection fails, and on 409, 502, 503 and 504;
   * anything on 429.
   */
  async exchange(
    verb: string,
    url: string,
    headers: Record<string, string> = {},
    { body, takesKey, signal, onProgress }: {
      body?: BodyInit;
      takesKey?: boolean;
    } & CallOptions = {},
  ): Promise<Answer> {
    const given = new Headers({ ...this.settings.headers, ...headers });
    if (takesKey && !given.has("Idempotency-Key")) given.set("Idempotency-Key", randomName());
    const { tries, longestWait } = this.settings;
    for (let attempt = 1, renewed = false; ; attempt++) {
      const token = this.bearer();
      if (token) given.set("Authorization", `Bearer ${token}`);
      else given.delete("Authorization");
      // The server looks at keys of callers who are signed in alone.
      const repeatable = verb === "GET" || (token !== "" && given.has("Idempotency-Key"));
      let wait: number | undefined;
      try {
        const answer = await this.attempt(verb, url, given, body, signal, onProgress);
        if (answer.status < 400) return answer;
        throw this.refusal(answer);
      } catch (error) {
        if (error instanceof ApiError) {
          const { status, code, retryAfter } = error;
          if (status === 401 && token && !renewed && (code === 6 || code === 7)) {
            renewed = true;
            if (await this.renew(token)) {
              attempt--;
              continue;
            }
          }
          wait = retryAfter === undefined ? undefined : retryAfter * 1000;
          const again =
            status === 429 ||
            (repeatable && ([502, 503, 504].includes(status) || (status === 409 && wait !== undefined)));
          if (!again || (wait ?? 0) > longestWait) throw error;
        } else if (!(error instanceof ConnectionFailed) || !repeatable || signal?.aborted) {
          throw error;
        }
        if (attempt >= tries) throw error;
      }
      await this.pause(attempt, wait);
    }
  }

  /** Waits for what the server asked for, else a random part of a time that doubles. */
  async pause(attempt: number, wait?: number): Promise<void> {
    const longest = Math.min(this.settings.firstWait * 2 ** (attempt - 1), this.settings.longestWait);
    await this.settings.sleep(wait ?? longest * Math.random());
  }

  /** Returns the error that an answer of 400 and more stands for. */
  refusal(answer: Answer): Error {
    const { status, headers } = answer;
    let told: Json;
    try {
      told = JSON.parse(text(answer));
    } catch {
      told = {};
    }
    if (typeof told?.error === "string") return new OAuthRefused(told.error, told.error_description);
    const data = isObject(told?.data) ? told.data : {};
    return new (classOf(status))(
      status,
      data.errorDetail ?? told?.error?.[0] ?? `${answer.url} answered ${status}`,
      Number.isInteger(data.errorCode) ? data.errorCode : 0,
      data,
      headers.get("X-Request-Id") ?? "",
      seconds(headers.get("Retry-After")),
    );
  }

  /** Returns the answer of an endpoint of the OAuth protocol, without a token of the caller. */
  async askOAuth(path: string, form: Record<string, string>): Promise<Json> {
    const headers = new Headers(this.settings.headers);
    const answer = await this.attempt("POST", this.url(path), headers, new URLSearchParams(form));
    if (answer.status >= 400) throw this.refusal(answer);
    return parsed(answer);
  }

  /** Sends one request; the body is not read yet. `clear` ends the time limit. */
  async open(
    verb: string,
    url: string,
    headers: Headers,
    { body, signal, timeout = this.settings.timeout }: { body?: BodyInit; signal?: AbortSignal; timeout?: number } = {},
  ): Promise<{ response: Response; clear: () => void; isLate: () => boolean; end: () => void }> {
    const ending = new AbortController();
    let late = false;
    const timer = setTimeout(() => ((late = true), ending.abort()), timeout);
    const end = (): void => ending.abort();
    signal?.addEventListener("abort", end);
    if (signal?.aborted) end();
    const clear = (): void => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", end);
    };
    try {
      // Forms hold secrets of OAuth, which no other host may get.
      const redirect = body instanceof URLSearchParams ? "error" : "follow";
      const init: RequestInit = { method: verb, headers, body, signal: ending.signal, redirect };
      if (body instanceof ReadableStream) (init as Json).duplex = "half";
      const response = await this.settings.fetch(url, init);
      return { response, clear, isLate: () => late, end };
    } catch (error) {
      clear();
      throw failure(url, error, late);
    }
  }

  private async attempt(
    verb: string,
    url: string,
    headers: Headers,
    body?: BodyInit,
    signal?: AbortSignal,
    onProgress?: CallOptions["onProgress"],
  ): Promise<Answer> {
    const key = `${headers.get("Authorization")} ${url}`;
    const remembers = verb === "GET" && !headers.has("Range");
    const known = remembers ? this.kept.get(key) : undefined;
    const given = new Headers(headers);
    if (known) given.set("If-None-Match", known.headers.get("ETag")!);
    const answer =
      onProgress && body instanceof FormData
        ? await this.upload(url, given, body, onProgress, signal)
        : await this.fetched(verb, url, given, body, signal);
    if (answer.status === 304 && known) {
      this.kept.delete(key);
      this.kept.set(key, known);
      return known;
    }
    if (remembers && answer.status === 200 && answer.headers.has("ETag")) this.keep(key, answer);
    return answer;
  }

  private async fetched(
    verb: string,
    url: string,
    headers: Headers,
    body?: BodyInit,
    signal?: AbortSignal,
  ): Promise<Answer> {
    const { response, clear, isLate, end } = await this.open(verb, url, headers, { body, signal });
    const parts: Uint8Array[] = [];
    let size = 0;
    try {
      const reader = response.body?.getReader();
      for (let part = await reader?.read(); part && !part.done; part = await reader?.read()) {
        parts.push(part.value);
        size += part.value.length;
        if (size > this.settings.largestAnswer) {
          end();
          throw new BadAnswer(`${url}: more than ${this.settings.largestAnswer} bytes`, response.status);
        }
      }
    } catch (error) {
      throw failure(url, error, isLate());
    } finally {
      clear();
    }
    const content = await new Blob(parts as BlobPart[]).arrayBuffer();
    return meant({ status: response.status, headers: response.headers, content, url: response.url || url }, headers);
  }

  /** Sends a form with progress: by XMLHttpRequest in a browser, whose fetch tells none, else as a counted stream. */
  private async upload(
    url: string,
    headers: Headers,
    form: FormData,
    onProgress: (sent: number, total: number) => void,
    signal?: AbortSignal,
  ): Promise<Answer> {
    if (typeof XMLHttpRequest === "undefined") {
      const whole = new Response(form);
      const type = whole.headers.get("Content-Type")!;
      const content = await whole.blob();
      headers.set("Content-Type", type);
      let sent = 0;
      const counted = new ReadableStream<Uint8Array>({
        async pull(out) {
          const part = new Uint8Array(await content.slice(sent, sent + 65_536).arrayBuffer());
          if (!part.length) return out.close();
          out.enqueue(part);
          sent += part.length;
          onProgress(sent, content.size);
        },
      });
      return this.fetched("POST", url, headers, counted, signal);
    }
    return new Promise((done, fail) => {
      const request = new XMLHttpRequest();
      request.open("POST", url);
      request.responseType = "arraybuffer";
      request.timeout = this.settings.timeout;
      headers.forEach((value, name) => request.setRequestHeader(name, value));
      request.upload.onprogress = ({ loaded, total }) => onProgress(loaded, total);
      request.ontimeout = () => fail(new TimedOut(`${url}: no answer in time`));
      request.onerror = request.onabort = () => fail(new ConnectionFailed(url));
      request.onload = () => {
        const lines = request.getAllResponseHeaders().trim().split("\r\n");
        const pairs = lines.map((line) => line.split(/: (.*)/, 2) as [string, string]);
        const answer = { status: request.status, headers: new Headers(pairs), content: request.response, url };
        done(meant(answer, headers));
      };
      signal?.addEventListener("abort", () => request.abort());
      request.send(form);
    });
  }

  private keep(key: string, answer: Answer): void {
    const { etags, etagBytes } = this.settings;
    const forget = (old: string): void => {
      this.keptBytes -= this.kept.get(old)?.content.byteLength ?? 0;
      this.kept.delete(old);
    };
    forget(key);
    if (answer.content.byteLength > etagBytes) return;
    this.kept.set(key, answer);
    this.keptBytes += answer.content.byteLength;
    // A Map keeps the order: the least recently used come first.
    while (this.kept.size > etags || this.keptBytes > etagBytes) forget(this.kept.keys().next().value!);
  }

  private async given(flags: string, answer: Answer): Promise<Json> {
    if (flags.includes("l")) {
      const location = answer.headers.get("Location");
      if (!location) throw new BadAnswer(`${answer.status} without Location from ${answer.url}`, answer.status);
      return location;
    }
    if (flags.includes("y")) return new Blob([answer.content], { type: answer.headers.get("Content-Type") ?? "" });
    if (flags.includes("t")) return text(answer);
    if (flags.includes("b")) return parsed(answer);
    if (answer.status === 204 || flags.includes("n")) return null;
    if (answer.status < 300) return this.paged(dataOf(answer), answer.url, []);
    // An older server, or one that does not show what it made: the resource says itself.
    const location = answer.headers.get("Location");
    if (!location) throw new BadAnswer(`${answer.status} without Location from ${answer.url}`, answer.status);
    try {
      return await this.read(location);
    } catch (error) {
      throw error instanceof ApiError && [403, 404].includes(error.status) ? new NotShown(location) : error;
    }
  }

  /** Returns the data at an address on this host that the server named. */
  async read(href: string, keys: (string | number)[] = []): Promise<Json> {
    const answer = await this.exchange("GET", this.url(href));
    let data = dataOf(answer);
    for (const key of keys) data = data?.[key];
    return this.paged(data, answer.url, keys);
  }

  /** Makes every page below `data` iterable, and a document that is nothing but a page. */
  private paged(data: Json, address: string, keys: (string | number)[]): Json {
    if (typeof data !== "object" || data === null) return data;
    const isPage = Array.isArray(data.items) && Array.isArray(data.links) && "limit" in data;
    for (const [key, value] of Object.entries(data) as [string, Json][]) {
      this.paged(value, address, [...keys, key]);
      if (value?.[Symbol.asyncIterator] && Object.keys(data).every((other) => other === key || other === "meta"))
        hide(data, Symbol.asyncIterator, () => value[Symbol.asyncIterator]());
    }
    if (!isPage) return data;
    const next = async (): Promise<Json> => {
      const href = data.links.find((link: Json) => link?.rel === "next")?.href;
      if (href === undefined) return null;
      const page = await this.read(href, keys);
      if (!Array.isArray(page?.items)) throw new BadAnswer(`${href} has no page at ${keys.join(".")}`);
      return page;
    };
    hide(data, "next", next);
    hide(data, Symbol.asyncIterator, async function* () {
      const seen = new Set<string>();
      for (let page = data; page; ) {
        yield* page.items;
        const href = page.links?.find((link: Json) => link?.rel === "next")?.href;
        if (seen.has(href)) throw new BadAnswer(`${href} is its own next page`);
        seen.add(href);
        page = await page.next();
      }
    });
    return data;
  }
}

const hide = (target: object, key: PropertyKey, value: unknown): void => {
  Object.defineProperty(target, key, { value, configurable: true });
};

/** Returns an answer with the status that its envelope means, where the status line had to be 200. */
const meant = (answer: Answer, sent: Headers): Answer => {
  if (!sent.has("X-Always-200") || answer.status !== 200) return answer;
  const { status } = parsed(answer) ?? {};
  return Number.isInteger(status) ? { ...answer, status } : answer;
};

const dataOf = (answer: Answer): Json => {
  const told = parsed(answer);
  if (!isObject(told) || !["context", "status", "data", "error"].every((key) => key in told))
    throw new BadAnswer(`no envelope from ${answer.url}`, answer.status);
  return told.data;
};

/** Returns the error that a failed fetch stands for. */
export const failure = (url: string, error: unknown, late: boolean): Error => {
  if (error instanceof ForumError) return error;
  const kind = late ? TimedOut : ConnectionFailed;
  return new kind(`${url}: ${late ? "no answer in time" : error}`, { cause: error });
};

const formOf = (files: Upload[]): FormData => {
  const form = new FormData();
  for (const one of files) form.append("file", one instanceof Blob ? one : one.content, one.name);
  return form;
};

/** Returns 32 random letters and digits. */
export const randomName = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");

const seconds = (value: string | null): number | undefined => {
  if (value === null) return undefined;
  if (/^\d+$/.test(value)) return Number(value);
  const until = Date.parse(value);
  return Number.isNaN(until) ? undefined : Math.max(0, (until - Date.now()) / 1000);
};

/** Returns the groups of operations as `TABLE` lists them, whose methods call `core`. */
export const groupsOf = (core: Core): Record<string, Record<string, (...args: Json[]) => Promise<Json>>> => {
  const made: Record<string, Record<string, (...args: Json[]) => Promise<Json>>> = {};
  for (const line of TABLE.split("\n")) {
    const [short, ...methods] = line.split(" ") as [string, ...string[]];
    const path = short.startsWith("/") ? short : `/api/v1/${short}`;
    const first = short.split("/")[0]!;
    const group = short.startsWith("/") ? "pages" : (GROUPS[first] ?? first);
    for (const method of methods) {
      const [name, [verb, ...flags]] = method.split(":") as [string, string];
      const operation = { verb: VERBS[verb!]!, path, flags: flags.join("") };
      (made[group] ??= {})[name] = (...args) => core.call(operation, args);
    }
  }
  return made;
};

export type { LiveStream };
