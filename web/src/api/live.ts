// The stream, brought to the screens: events make what they concern old, money is taken
// from the events themselves, and the stages of running images are kept beside. Loaded
// after the page: nothing that is shown first waits for it.

import type { QueryClient } from '@tanstack/react-query';
import type { Schemas } from './client';
import { connection, noteStage, type Stage } from './notices';
import { keys, refresh } from './queries';
import { listen, type Connection, type StreamEvent } from './stream';

/** What is read afresh at most this often, milliseconds: a batch of 48 ends in bursts, and reads are limited to 300 a minute. */
const EVERY = 800;

const CONCERNS: [prefix: string, keys: (readonly unknown[])[]][] = [
  ['Brand', [keys.brands]],
  ['Asset', [keys.assets]],
  ['Generation', [keys.generations, keys.generation, keys.batch, keys.batches]],
  ['Batch', [keys.generations, keys.batches]],
  ['Image', [keys.generations, keys.generation, keys.tags]],
  ['Credits', [keys.credits, keys.entries, keys.batch]],
  ['Account', [keys.me]],
];

function money(queries: QueryClient, data: Record<string, unknown>) {
  const { available_after: available, held_after: held } = data as { available_after?: number; held_after?: number };
  if (available === undefined || held === undefined) return;
  queries.setQueryData<Schemas['Me']>(keys.me, (me) => me && { ...me, credits: { available, held } });
  queries.setQueryData<Schemas['Credits']>(keys.credits, (credits) => credits && { ...credits, available, held });
}

/** Follows the account's stream until the returned function is called. */
export function follow(account: string, queries: QueryClient): () => void {
  const old = new Set<readonly unknown[]>();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const flush = () => {
    timer = undefined;
    void refresh(queries, ...old);
    old.clear();
  };
  const event = ({ name, data }: StreamEvent) => {
    if (name === 'progress') {
      noteStage(String(data.generation_id), data as unknown as Stage);
      return;
    }
    if (name === 'resync') {
      void refresh(queries, keys.all);
      return;
    }
    if (name.startsWith('Credits')) {
      money(queries, data);
      // What is read just now may be from before, and would take its place.
      if (queries.isFetching({ queryKey: keys.me })) old.add(keys.me);
    }
    for (const [prefix, concerned] of CONCERNS) if (name.startsWith(prefix)) for (const key of concerned) old.add(key);
    timer ??= setTimeout(flush, EVERY);
  };
  let was: Connection = 'connecting';
  const stop = listen(account, {
    event,
    connection(now) {
      // What was missed is in the stream; what failed meanwhile is read again.
      if (now === 'open' && was === 'away') void queries.refetchQueries({ predicate: (query) => query.state.status === 'error' });
      was = now === 'connecting' ? was : now;
      connection.set(now);
    },
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}
