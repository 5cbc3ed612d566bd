/** Errors by status and, through `instanceof` of the generated names, by stable code. */

import { CODES } from "./table.js";

/** Base class of every error of this client. */
export class ForumError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/**
 * The server could not be reached, or the connection ended before the whole answer was there.
 * After a write without an idempotency key it is unknown if the write was done.
 */
export class ConnectionFailed extends ForumError {}

/** The server did not answer in time. */
export class TimedOut extends ConnectionFailed {}

/** An answer that is not what the API sends, such as a proxy's page, or one that is too large. */
export class BadAnswer extends ForumError {
  constructor(
    message: string,
    readonly status = 0,
  ) {
    super(message);
  }
}

/** The write was done, but the caller may not read the result at `location`. */
export class NotShown extends ForumError {
  constructor(readonly location: string) {
    super(`done, but ${location} can't be read by this caller`);
  }
}

/** The server has ended the live stream for good; `reason` is such as `banned` or `siteGone`. */
export class LiveEnded extends ForumError {
  constructor(readonly reason: string) {
    super(`the stream has ended: ${reason}`);
  }
}

/** The person has a second factor: `finishSecondFactor` takes its code. */
export class SecondFactorNeeded extends ForumError {}

/** Refusal in the form of the OAuth protocol: `error` is its code, such as `invalid_grant`. */
export class OAuthRefused extends ForumError {
  constructor(
    readonly error: string,
    readonly description = "",
  ) {
    super(description ? `${error}: ${description}` : error);
  }
}

/** Refusal by the API. `retryAfter` is in seconds, undefined where the answer names no time. */
export class ApiError extends ForumError {
  constructor(
    readonly status: number,
    message: string,
    readonly code = 0,
    readonly data: Record<string, unknown> = {},
    readonly requestId = "",
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

/** 400: something sent breaks a rule. */
export class BadRequest extends ApiError {}
/** 401: the token is no good, or a sign-in was refused. */
export class Unauthorized extends ApiError {}
/** 403: not permitted, or no such content item. */
export class Forbidden extends ApiError {}
/** 404: no such site, address or resource. */
export class NotFound extends ApiError {}
/** 405: the address has no such method; the server is older than this client. */
export class MethodNotAllowed extends ApiError {}
/** 409: a copy of the request is under way, or a draft has another version. */
export class Conflict extends ApiError {}
/** 412: If-Match named another version. */
export class PreconditionFailed extends ApiError {}
/** 413: the body or the upload is too large. */
export class TooLarge extends ApiError {}
/** 416: the range lies beyond the end of the file. */
export class RangeNotSatisfiable extends ApiError {}
/** 422: the idempotency key was used before with another body. */
export class KeyReused extends ApiError {}
/** 426: the address speaks WebSocket. */
export class UpgradeRequired extends ApiError {}
/** 429: over a limit; `retryAfter` says for how long. */
export class TooManyRequests extends ApiError {}
/** 5xx: a fault of the server or of what is in front of it. */
export class ServerError extends ApiError {}
/** 501: known, but not implemented or not set up here. */
export class NotOffered extends ServerError {}
/** 502 or 504: a provider behind the server failed, or the answer was lost; a write may have been done. */
export class BadGateway extends ServerError {}
/** 503: the server is overloaded or its database is away; nothing was written. */
export class Unavailable extends ServerError {}

const CLASSES: Record<number, typeof ApiError> = {
  400: BadRequest,
  401: Unauthorized,
  403: Forbidden,
  404: NotFound,
  405: MethodNotAllowed,
  409: Conflict,
  412: PreconditionFailed,
  413: TooLarge,
  416: RangeNotSatisfiable,
  422: KeyReused,
  426: UpgradeRequired,
  429: TooManyRequests,
  501: NotOffered,
  502: BadGateway,
  503: Unavailable,
  504: BadGateway,
};

/** Returns the class of errors of a status. */
export const classOf = (status: number): typeof ApiError =>
  CLASSES[status] ?? (status >= 500 ? ServerError : ApiError);

/** Right side of `instanceof`: a refusal with one stable code. */
export interface OfCode {
  [Symbol.hasInstance](value: unknown): value is ApiError;
}

/** Refusals by the name of their code: `error instanceof codes.TokenExpired`. */
export const codes = Object.fromEntries(
  Object.entries(CODES).map(([name, code]) => [
    name,
    {
      [Symbol.hasInstance]: (value: unknown): value is ApiError =>
        value instanceof ApiError && value.code === code,
    },
  ]),
) as Record<keyof typeof CODES, OfCode>;
