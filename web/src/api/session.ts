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

const KEY = 'atelier.session';
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

/** The account that a token is of: the claim `sub`. Not verified; the server does that. */
export function accountOf(token: string): string {
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

type SupabaseToken = { access_token: string; refresh_token: string; expires_in: number; user?: { email?: string } };

async function supabase<T>(to: { url: string; key: string }, path: string, body: unknown): Promise<T> {
  const answer = await fetch(`${to.url}/auth/v1/${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', apikey: to.key },
    body: JSON.stringify(body),
  });
  const said = (await answer.json().catch(() => ({}))) as T & { msg?: string; error_description?: string };
  if (!answer.ok) throw new SignInError(said.msg ?? said.error_description ?? '', answer.status);
  return said;
}

export class SignInError extends Error {
  constructor(
    readonly said: string,
    readonly status: number,
  ) {
    super(said);
  }
}

function keepSupabase(token: SupabaseToken, email: string) {
  setSession({
    token: token.access_token,
    expires: Date.now() + token.expires_in * 1000,
    email: token.user?.email ?? email,
    refresh: token.refresh_token,
  });
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

/** Sends a code by e-mail; signInWithCode takes it. */
export async function sendCode(to: { url: string; key: string }, email: string) {
  await supabase(to, 'otp', { email, create_user: true });
}

export async function signInWithCode(to: { url: string; key: string }, email: string, code: string) {
  keepSupabase(await supabase<SupabaseToken>(to, 'verify', { type: 'email', email, token: code }), email);
}

/** Renews this long before the end, milliseconds. */
const RENEW_BEFORE = 60_000;

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
      else if (how.kind === 'supabase' && current.refresh) keepSupabase(await supabase<SupabaseToken>(how, 'token?grant_type=refresh_token', { refresh_token: current.refresh }), current.email);
    })
    .then(() => undefined, () => undefined) // what it still has is sent, and the answer says the rest
    .finally(() => {
      renewal = undefined;
    });
  await renewal;
  return session()?.token;
}
