// Who is signed in. The token is kept in local storage, so that all tabs of a browser
// are the same person; it never stands in an address.

import { useSyncExternalStore } from 'react';

export type SignInMethod = { kind: 'embedded' } | { kind: 'none' } | { kind: 'supabase'; url: string; key: string };

export type Session = {
  token: string;
  /** Milliseconds of the epoch. */
  expires: number;
  email: string;
  /** With an issuer that gives one. */
  refresh?: string;
};

/** Where it is kept, as JSON. */
export const KEY = 'atelier.session';
const listeners = new Set<() => void>();
let current: Session | null | undefined;

function read(): Session | null {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Session | null;
    return kept && typeof kept.token === 'string' ? kept : null;
  } catch {
    return null;
  }
}

export function session(): Session | null {
  if (current === undefined) current = typeof window === 'undefined' ? null : read();
  return current;
}

export function setSession(next: Session | null) {
  current = next;
  try {
    if (next) localStorage.setItem(KEY, JSON.stringify(next));
    else localStorage.removeItem(KEY);
  } catch {
    // A browser that keeps nothing has a session as long as its page.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  const other = (event: StorageEvent) => {
    if (event.key !== KEY) return;
    current = read();
    listener();
  };
  listeners.add(listener);
  window.addEventListener('storage', other);
  return () => {
    listeners.delete(listener);
    window.removeEventListener('storage', other);
  };
}

/** The session, null where nobody is signed in, undefined while the page is not yet alive. */
export function useSession(): Session | null | undefined {
  return useSyncExternalStore(subscribe, session, () => undefined);
}

let known = { token: '', account: '' };

/** The account that a token is of: the claim `sub`. Not verified; the server does that. */
export function accountOf(token: string): string {
  if (known.token !== token) known = { token, account: subjectOf(token) };
  return known.account;
}

function subjectOf(token: string): string {
  try {
    const claims = JSON.parse(atob((token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/'))) as { sub?: string };
    return claims.sub ?? '';
  } catch {
    return '';
  }
}

let method: Promise<SignInMethod> | undefined;

/** How one signs in here. */
export function signInMethod(): Promise<SignInMethod> {
  method ??= fetch('/client.json')
    .then((answer) => {
      if (!answer.ok) throw new Error(`client.json: ${answer.status}`);
      return answer.json() as Promise<{ sign_in: SignInMethod }>;
    })
    .then((config) => config.sign_in)
    .catch((error) => {
      method = undefined;
      throw error;
    });
  return method;
}

export class SignInError extends Error {
  constructor(
    readonly said: string,
    readonly status: number,
  ) {
    super(said);
  }
}

export async function signInEmbedded(email: string) {
  const answer = await fetch('/dev/sign-in', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ email }),
  });
  const said = (await answer.json().catch(() => ({}))) as { access_token: string; expires_at: string; detail?: string };
  if (!answer.ok) throw new SignInError(said.detail ?? '', answer.status);
  setSession({ token: said.access_token, expires: Date.parse(said.expires_at), email });
}

/** Renews this long before the end, milliseconds. */
export const RENEW_BEFORE = 60_000;

let renewal: Promise<void> | undefined;

/**
 * The token to send, renewed when it is about to end. The embedded issuer believes every
 * address, so it is asked again; one tab renews, by a lock, and the others take its session.
 */
export async function freshToken(): Promise<string | undefined> {
  const now = session();
  if (!now) return undefined;
  if (now.expires - Date.now() > RENEW_BEFORE) return now.token;
  renewal ??= navigator.locks
    .request('atelier.renew', async () => {
      current = read();
      if (!current || current.expires - Date.now() > RENEW_BEFORE) return;
      const how = await signInMethod();
      if (how.kind === 'embedded') await signInEmbedded(current.email);
      else if (how.kind === 'supabase' && current.refresh) await (await import('./supabase')).renew(how, current.email, current.refresh);
    })
    .then(() => undefined, () => undefined) // what it still has is sent, and the answer says the rest
    .finally(() => {
      renewal = undefined;
    });
  await renewal;
  return session()?.token;
}
