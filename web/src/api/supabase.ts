// Sign-in with a Supabase project: a code by e-mail. Loaded where that is configured.

import { setSession, SignInError } from './session';

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

function keepSupabase(token: SupabaseToken, email: string) {
  setSession({
    token: token.access_token,
    expires: Date.now() + token.expires_in * 1000,
    email: token.user?.email ?? email,
    refresh: token.refresh_token,
  });
}

/** Sends a code by e-mail; signInWithCode takes it. */
export async function sendCode(to: { url: string; key: string }, email: string) {
  await supabase(to, 'otp', { email, create_user: true });
}

export async function signInWithCode(to: { url: string; key: string }, email: string, code: string) {
  keepSupabase(await supabase<SupabaseToken>(to, 'verify', { type: 'email', email, token: code }), email);
}

export async function renew(to: { url: string; key: string }, email: string, refresh: string) {
  keepSupabase(await supabase<SupabaseToken>(to, 'token?grant_type=refresh_token', { refresh_token: refresh }), email);
}
