/** Ways to a token: a code by e-mail, a program with a browser (OAuth with PKCE), a device without one. */

import { randomName, type TokenSource } from "./core.js";
import type { Client } from "./client.js";
import { BadAnswer, OAuthRefused, SecondFactorNeeded } from "./errors.js";

const TOKEN = "/api/v1/oauth/token";

/** Sign-in by a code of eight digits that is mailed. */
export class EmailSignIn {
  private flow = "";

  private constructor(
    private client: Client,
    private email: string,
  ) {}

  /** Sends the mail. */
  static async begin(client: Client, email: string): Promise<EmailSignIn> {
    await client.auth.signIn({ method: "email-code", email });
    return new EmailSignIn(client, email);
  }

  /** Returns the token, which the client uses from here on. A wrong code is Unauthorized. */
  async finish(code: string): Promise<string> {
    return this.take(await this.client.auth.signIn({ method: "email-code", email: this.email, code }));
  }

  /** Returns the token for a code of the person's app, or one of their recovery codes. */
  async finishSecondFactor(code: string): Promise<string> {
    return this.take(await this.client.auth.signIn({ method: "second-factor", flow: this.flow, code }));
  }

  private take(answer: unknown): string {
    if (typeof answer === "string" && answer) return (this.client.token = answer);
    const flow = (answer as { flow?: unknown } | null)?.flow;
    if (typeof flow !== "string") throw new BadAnswer("neither a token nor a second step");
    this.flow = flow;
    throw new SecondFactorNeeded("a code of the second factor is needed");
  }
}

/** Of an OAuth client: its id, the secret of a confidential one, and the scopes to ask for. */
export interface OAuthClientOptions {
  clientId: number | string;
  clientSecret?: string;
  scopes: string[];
}

type Answer = Record<string, any>;

const ask = (client: Client, { clientId, clientSecret }: Omit<OAuthClientOptions, "scopes">, path: string, form: Answer) =>
  client.askOAuth(path, {
    ...form,
    client_id: String(clientId),
    ...(clientSecret ? { client_secret: clientSecret } : {}),
  });

/** Access token that renews itself, once for all calls that need it at the same time. */
export class OAuthToken implements TokenSource {
  /** Called after each renewal, to keep `refreshToken`. */
  changed?: (token: OAuthToken) => void;
  refreshToken: string;
  private renewing?: Promise<boolean>;

  constructor(
    private client: Client,
    private options: Omit<OAuthClientOptions, "scopes">,
    private access: string,
    refreshToken: string,
  ) {
    this.refreshToken = refreshToken;
  }

  accessToken(): string {
    return this.access;
  }

  renew(refused: string): Promise<boolean> {
    if (this.access !== refused) return Promise.resolve(true);
    return (this.renewing ??= this.ask().finally(() => (this.renewing = undefined)));
  }

  private async ask(): Promise<boolean> {
    if (!this.refreshToken) return false;
    try {
      const form = { grant_type: "refresh_token", refresh_token: this.refreshToken };
      const given = await ask(this.client, this.options, TOKEN, form);
      this.access = given.access_token;
      this.refreshToken = given.refresh_token ?? "";
    } catch (error) {
      if (!(error instanceof OAuthRefused)) throw error;
      this.refreshToken = "";
      return false;
    }
    this.changed?.(this);
    return true;
  }
}

const take = (client: Client, options: OAuthClientOptions, given: Answer): OAuthToken =>
  (client.token = new OAuthToken(client, options, given.access_token, given.refresh_token ?? ""));

const base64url = (bytes: Uint8Array): string =>
  btoa(String.fromCharCode(...bytes)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");

/** OAuth with PKCE (RFC 7636): send the person to `address`, then give `finish` the address they came back to. */
export class PkceSignIn {
  readonly address: string;

  private constructor(
    private client: Client,
    private options: OAuthClientOptions & { redirectUri: string },
    readonly verifier: string,
    readonly state: string,
    challenge: string,
  ) {
    const query = new URLSearchParams({
      response_type: "code",
      client_id: String(options.clientId),
      redirect_uri: options.redirectUri,
      scope: options.scopes.join(" "),
      state,
      code_challenge: challenge,
      code_challenge_method: "S256",
    });
    this.address = `${client.address}/oauth/authorize?${query}`;
  }

  /** Makes verifier and state; `kept` are those of an earlier page, which the browser has left since. */
  static async begin(
    client: Client,
    options: OAuthClientOptions & { redirectUri: string },
    kept?: { verifier: string; state: string },
  ): Promise<PkceSignIn> {
    const verifier = kept?.verifier ?? randomName() + randomName();
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(verifier));
    const challenge = base64url(new Uint8Array(digest));
    return new PkceSignIn(client, options, verifier, kept?.state ?? randomName(), challenge);
  }

  /** Returns the token, which the client uses from here on. OAuthRefused: refused, or the answer to another request. */
  async finish(back: string): Promise<OAuthToken> {
    const query = new URL(back, this.client.address).searchParams;
    if (query.get("state") !== this.state) throw new OAuthRefused("invalid_state", "the answer to another request");
    const error = query.get("error");
    if (error) throw new OAuthRefused(error, query.get("error_description") ?? "");
    const metadata: Answer = await this.client.pages.getOAuthServerMetadata();
    if (!metadata.issuer || query.get("iss") !== metadata.issuer)
      throw new OAuthRefused("invalid_issuer", "the answer of another site");
    const given = await ask(this.client, this.options, TOKEN, {
      grant_type: "authorization_code",
      code: query.get("code") ?? "",
      redirect_uri: this.options.redirectUri,
      code_verifier: this.verifier,
    });
    return take(this.client, this.options, given);
  }
}

/** Sign-in of a device (RFC 8628): show `userCode` and `verificationUri`, then call `wait`. */
export class DeviceSignIn {
  private constructor(
    private client: Client,
    private options: OAuthClientOptions,
    private given: Answer,
  ) {}

  static async begin(client: Client, options: OAuthClientOptions): Promise<DeviceSignIn> {
    const form = { scope: options.scopes.join(" ") };
    return new DeviceSignIn(client, options, await ask(client, options, "/api/v1/oauth/device", form));
  }

  get userCode(): string {
    return this.given.user_code;
  }

  get verificationUri(): string {
    return this.given.verification_uri;
  }

  get verificationUriComplete(): string {
    return this.given.verification_uri_complete ?? "";
  }

  /** Returns the token once the person has allowed it. OAuthRefused: they refused, or the code has expired. */
  async wait(): Promise<OAuthToken> {
    const { device_code, expires_in = 900 } = this.given;
    const until = Date.now() + expires_in * 1000;
    for (let interval = this.given.interval ?? 5; ; ) {
      await this.client.settings.sleep(interval * 1000);
      if (Date.now() > until) throw new OAuthRefused("expired_token");
      try {
        const form = { grant_type: "urn:ietf:params:oauth:grant-type:device_code", device_code };
        return take(this.client, this.options, await ask(this.client, this.options, TOKEN, form));
      } catch (error) {
        if (!(error instanceof OAuthRefused)) throw error;
        if (error.error === "slow_down") interval += 5;
        else if (error.error !== "authorization_pending") throw error;
      }
    }
  }
}
