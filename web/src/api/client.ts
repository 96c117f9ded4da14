// The typed client of the HTTP API (schema.d.ts is generated from api/openapi.yaml).
// Every read sends the greatest position that this browser has seen, so that no screen
// shows the past; every command has an Idempotency-Key, so that a retry is safe.

import type { Client } from 'openapi-fetch';
import type { components, paths } from './schema';
import { askedAhead } from './ahead';
import { freshToken, setSession } from './session';
import { isAfter } from '../position';

export type Schemas = components['schemas'];
/** RFC 9457; the figures that a person needs stand beside these members. */
export type Problem = { type?: string; title?: string; status?: number; detail?: string; code?: string; instance?: string; errors?: Schemas['FieldProblem'][] };

/** What the server refused, or that it could not be reached (status 0). */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  readonly problem: Problem;
  constructor(problem: Problem, status: number) {
    super(problem.detail || problem.title || `status ${status}`);
    this.problem = problem;
    this.code = problem.code ?? (status === 0 ? 'unreachable' : 'unknown');
    this.status = status;
  }
  /** A figure beside the named members, such as `shortfall`. */
  figure(name: string): number | undefined {
    const value = (this.problem as Record<string, unknown>)[name];
    return typeof value === 'number' ? value : undefined;
  }
  /** Whether to try again makes sense. */
  get passing(): boolean {
    return this.status === 0 || this.status === 503 || this.status === 429 || this.status === 502 || this.status === 504;
  }
}

let seen: string | undefined;
let oldest: string | undefined;
let awaited = 0;
const answered = new Set<() => void>();
const endings = new Set<() => void>();

/** Notes the position of an answer or of an event: later reads wait for the greatest. `-1` stands before the first. */
export function noteSeen(position: string | null | undefined) {
  if (position && !position.endsWith('.-1') && isAfter(position, seen)) seen = position;
}

/**
 * What the stream has to know of the reads: the position of the oldest answer (what changed since
 * then has to be told; undefined before the first), and how many are awaited.
 */
export function reads(): { oldest: string | undefined; awaited: number } {
  return { oldest, awaited };
}

/** Calls back when a read was answered or has failed. Returns how to stop. */
export function onAnswer(callback: () => void): () => void {
  answered.add(callback);
  return () => answered.delete(callback);
}

export function forgetSeen() {
  seen = undefined;
  oldest = undefined;
}

/** Calls back when the server no longer takes the token. Returns how to stop. */
export function onSessionEnded(callback: () => void): () => void {
  endings.add(callback);
  return () => endings.delete(callback);
}

export function sessionEnded() {
  for (const ended of endings) ended();
}

type Options = { params?: { path?: Record<string, unknown>; query?: Record<string, unknown>; header?: Record<string, unknown> }; body?: unknown; headers?: Record<string, string>; signal?: AbortSignal };

/** The address of a call, its path and query filled in. */
function addressOf(path: string, { path: parts = {}, query = {} }: NonNullable<Options['params']>): string {
  const filled = path.replace(/{(\w+)}/g, (_, name: string) => encodeURIComponent(String(parts[name])));
  const search = new URLSearchParams(Object.entries(query).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])));
  return search.size ? `${filled}?${search}` : filled;
}

async function read(path: string, options?: Options): Promise<Answer<unknown>> {
  awaited++;
  try {
    const answer = await send('GET', path, options);
    const position = answer.response.headers.get('Atelier-Position');
    if (position && (!oldest || isAfter(oldest, position))) oldest = position;
    return answer;
  } finally {
    awaited--;
    for (const callback of answered) callback();
  }
}

async function send(method: string, path: string, { params = {}, body, headers, signal }: Options = {}): Promise<Answer<unknown>> {
  const token = await freshToken();
  const address = addressOf(path, params);
  const ahead = method === 'GET' ? await askedAhead(address, token, seen) : undefined;
  const response = ahead ?? await fetch(address, {
    method,
    headers: {
      ...(params.header as Record<string, string>),
      ...headers,
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...(seen && method === 'GET' ? { 'Atelier-Position': seen } : {}),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
    signal,
  });
  noteSeen(response.headers.get('Atelier-Position'));
  if (response.status === 401) sessionEnded();
  const said: unknown = await response.json().catch(() => undefined); // 204 says nothing
  return response.ok ? { data: said, response } : { error: said, response };
}

// The types are openapi-fetch's; its run time would take 2 kB of the first load.
const client = Object.fromEntries(['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].map((method) => [method, (path: string, options?: Options) => (method === 'GET' ? read(path, options) : send(method, path, options))])) as unknown as Client<paths>;

type Answer<T> = { data?: T; error?: unknown; response: Response };

/** The data of an answer, or an ApiError. */
export async function dataOf<T>(call: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch {
    throw new ApiError({}, 0);
  }
  if (!answer.response.ok) throw new ApiError((answer.error ?? {}) as Problem, answer.response.status);
  return answer.data as T;
}

/** How long a command that was not decided at once is asked about, milliseconds. */
const DECIDED_WITHIN = 60_000;

/**
 * The data of a command's answer. One that is not decided yet (202) is asked about until it
 * is; what it led to is then in the outcome, and the data is undefined.
 */
export async function decided<T>(call: Promise<Answer<T>>): Promise<{ data?: T; outcome?: Schemas['CommandOutcome'] }> {
  let answer: Answer<T>;
  try {
    answer = await call;
  } catch {
    throw new ApiError({}, 0);
  }
  if (!answer.response.ok) throw new ApiError((answer.error ?? {}) as Problem, answer.response.status);
  if (answer.response.status !== 202) return { data: answer.data };
  const id = (answer.response.headers.get('Location') ?? '').split('/').pop() ?? '';
  for (const until = Date.now() + DECIDED_WITHIN; Date.now() < until; ) {
    await new Promise((resolve) => setTimeout(resolve, 1000));
    const outcome = await dataOf(client.GET('/v1/commands/{command_id}', { params: { path: { command_id: id } } })).catch((error: ApiError) => {
      if (!error.passing) throw error;
      return undefined;
    });
    if (!outcome || outcome.status === 'pending') continue;
    noteSeen(outcome.position);
    if (outcome.status === 'rejected') throw new ApiError((outcome.rejection ?? {}) as Problem, outcome.rejection?.status ?? 422);
    return { outcome };
  }
  throw new ApiError({ code: 'undecided' }, 503);
}

/** A key for one thing that is wanted; the same for its retries. */
export function newKey(): string {
  return crypto.randomUUID();
}

/** An answer that is not JSON: a file, a preview. Errors: ApiError; an aborted one is unreachable. */
export async function authorized(path: string, { headers, ...rest }: { headers?: Record<string, string>; signal?: AbortSignal; method?: string; body?: string } = {}): Promise<Response> {
  const token = await freshToken();
  const answer = await fetch(path, { ...rest, headers: { ...headers, Authorization: `Bearer ${token ?? ''}` } }).catch(() => {
    throw new ApiError({}, 0);
  });
  if (answer.ok) return answer;
  if (answer.status === 401) sessionEnded();
  throw new ApiError((await answer.json().catch(() => ({}))) as Problem, answer.status);
}

export function signOut() {
  setSession(null);
}

export default client;
