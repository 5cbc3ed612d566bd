/** The client of one host. */

import { Core, groupsOf, type Settings, type TokenSource } from "./core.js";
import type { Groups } from "./operations.js";

/** Client of one host, with a group of operations for each first part of an address. */
export class Client extends Core {
  /** `token` is a text, a source of tokens, or "" for a guest. */
  constructor(address: string, token: string | TokenSource = "", settings: Partial<Settings> = {}) {
    super(address, token, settings);
    Object.assign(this, groupsOf(this));
  }
}

export interface Client extends Groups {}
