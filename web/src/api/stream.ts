// One stream for all tabs of a browser: HTTP/1.1 allows six connections a host, and a
// stream in each tab would use them up. A lock elects the tab that holds it, and a
// BroadcastChannel hands on what it reads. A tab that takes over resumes from the last
// event that it was told.
//
// Nothing that changes after an answer may go untold. So a stream begins at the oldest
// answer, once the first reads are done. Where it begins later, or an answer comes that is
// older, of a read that was on its way, everything is read again.

import { isAfter } from '../position';
import { forgetSeen, noteSeen, onAnswer, reads, sessionEnded } from './client';
import { freshToken } from './session';

export type StreamEvent = { name: string; id?: string; data: Record<string, unknown> };
export type Connection = 'connecting' | 'open' | 'away';

/** `told` is where the tab that holds the stream stands. */
type Message = { kind: 'event'; event: StreamEvent } | { kind: 'connection'; connection: Connection; told?: string } | { kind: 'hello' };

/** Silence after which a stream is taken for dead, milliseconds: the server beats every 5 s. */
const SILENCE = 15_000;
/** Bounds of the wait between two tries, milliseconds. */
const BACKOFF_LEAST = 500;
const BACKOFF_MOST = 10_000;
/** How long the first reads are waited for, milliseconds. */
const READS_MOST = 5_000;
/** Bound of one event's text (characters). The server's own are far below. */
const EVENT_MOST = 1 << 20;

export type StreamListener = {
  event(event: StreamEvent): void;
  connection(connection: Connection): void;
};

/** Listens until the returned function is called. One at a time in a tab. */
export function listen(account: string, listener: StreamListener): () => void {
  const stopped = new AbortController();
  const channel = new BroadcastChannel(`atelier.stream.${account}`);
  let leading: Connection | undefined;

  let since: string | undefined; // what changed after it is told
  let last: string | undefined; // the last event that was

  /** Events are told that came after a position. */
  const begin = (from: string | undefined) => {
    since ??= from;
    noteSeen(since);
    compare();
  };
  const compare = () => {
    const { oldest } = reads();
    if (!since || !oldest || !isAfter(since, oldest)) return;
    since = oldest;
    listener.event({ name: 'resync', data: {} });
  };
  const take = (event: StreamEvent) => {
    if (event.name === 'resync') {
      forgetSeen();
      since = undefined;
    }
    if (event.id) {
      last = event.id;
      noteSeen(last);
      since ??= last;
    }
    // hello: it begins now, and not where an answer was.
    listener.event(event.name === 'hello' ? { name: 'resync', data: {} } : event);
  };
  const tell = (connection: Connection) => {
    leading = connection;
    listener.connection(connection);
    channel.postMessage({ kind: 'connection', connection, told: last ?? since } satisfies Message);
  };
  channel.onmessage = ({ data }: MessageEvent<Message>) => {
    if (data.kind === 'event') take(data.event);
    else if (data.kind === 'connection') {
      begin(data.told);
      listener.connection(data.connection);
    } else if (leading) channel.postMessage({ kind: 'connection', connection: leading, told: last ?? since } satisfies Message);
  };
  channel.postMessage({ kind: 'hello' } satisfies Message);
  const unwatch = onAnswer(compare);

  navigator.locks
    .request(`atelier.stream.${account}`, { signal: stopped.signal }, async () => {
      if (!since) await firstReads(stopped.signal);
      await hold(stopped.signal, {
        from: () => last ?? since ?? reads().oldest,
        opened(from) {
          begin(from);
          tell('open');
        },
        take(event) {
          take(event);
          channel.postMessage({ kind: 'event', event } satisfies Message);
        },
        tell,
      });
    })
    .catch(() => undefined); // stopped while it waited for the lock

  return () => {
    stopped.abort();
    unwatch();
    channel.close();
  };
}

/** Waits until the reads that are on their way are answered or have failed, READS_MOST at most. */
function firstReads(stopped: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      unwatch();
      stopped.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, READS_MOST);
    const unwatch = onAnswer(() => reads().awaited === 0 && done());
    stopped.addEventListener('abort', done);
    if (reads().oldest && reads().awaited === 0) done();
  });
}

/** Who holds a stream open. */
type Holder = {
  /** After which event it begins. */
  from(): string | undefined;
  opened(from: string | undefined): void;
  take(event: StreamEvent): void;
  tell(connection: Connection): void;
};

/** Keeps a stream open until it is stopped. */
async function hold(stopped: AbortSignal, holder: Holder) {
  let wait = BACKOFF_LEAST;
  while (!stopped.aborted) {
    holder.tell('connecting');
    const opened = (from: string | undefined) => {
      wait = BACKOFF_LEAST;
      holder.opened(from);
    };
    const how = await follow(stopped, { ...holder, opened }).catch(() => 'lost' as const);
    if (stopped.aborted) return;
    if (how === 'unauthorized') {
      sessionEnded();
      return;
    }
    // An orderly end is that of the token, or of a server that is being replaced.
    if (how !== 'ended') holder.tell('away');
    await pause(wait * (0.5 + Math.random()), stopped);
    wait = Math.min(wait * 2, BACKOFF_MOST);
  }
}

/** Waits, or less when the browser says that it is online again. */
function pause(milliseconds: number, stopped: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      window.removeEventListener('online', done);
      stopped.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    window.addEventListener('online', done);
    stopped.addEventListener('abort', done);
  });
}

async function follow(stopped: AbortSignal, holder: Holder): Promise<'ended' | 'lost' | 'unauthorized'> {
  const cut = new AbortController();
  const stop = () => cut.abort();
  stopped.addEventListener('abort', stop);
  let silence = setTimeout(stop, SILENCE);
  try {
    const token = await freshToken();
    if (!token) return 'unauthorized';
    const headers: Record<string, string> = { Authorization: `Bearer ${token}`, Accept: 'text/event-stream' };
    const from = holder.from();
    if (from) headers['Last-Event-ID'] = from;
    const answer = await fetch('/v1/stream', { headers, signal: cut.signal, cache: 'no-store' });
    if (answer.status === 401) return 'unauthorized';
    if (!answer.ok || !answer.body) return 'lost';
    holder.opened(from);
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return 'ended';
      clearTimeout(silence);
      silence = setTimeout(stop, SILENCE);
      text += value;
      let end: number;
      while ((end = text.indexOf('\n\n')) >= 0) {
        const event = parse(text.slice(0, end));
        text = text.slice(end + 2);
        if (event) holder.take(event);
      }
      if (text.length > EVENT_MOST) return 'lost';
    }
  } finally {
    clearTimeout(silence);
    stopped.removeEventListener('abort', stop);
    cut.abort();
  }
}

/** An event of the stream's text; undefined for a heartbeat. */
export function parse(block: string): StreamEvent | undefined {
  let name = '';
  let id: string | undefined;
  let data = '';
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon <= 0) continue;
    const value = line.slice(colon + 1).replace(/^ /, '');
    if (line.startsWith('event:')) name = value;
    else if (line.startsWith('id:')) id = value;
    else if (line.startsWith('data:')) data += value;
  }
  if (!name) return undefined;
  try {
    return { name, id, data: data ? (JSON.parse(data) as Record<string, unknown>) : {} };
  } catch {
    return undefined;
  }
}
