// The stream, brought to the screens: events make what they concern old, money is taken
// from the events themselves, and the stages of running images are kept beside.

import { useQueryClient, type QueryClient } from '@tanstack/react-query';
import { useEffect, useSyncExternalStore } from 'react';
import type { Schemas } from './client';
import { keys } from './queries';
import { accountOf, useSession } from './session';
import { listen, type Connection, type StreamEvent } from './stream';

/** What is read afresh at most this often, milliseconds: a batch of 48 ends in bursts, and reads are limited to 300 a minute. */
const EVERY = 800;

const CONCERNS: [prefix: string, keys: (readonly unknown[])[]][] = [
  ['Brand', [keys.brands]],
  ['Asset', [keys.assets]],
  ['Generation', [keys.generations, keys.generation, keys.batch, keys.batches]],
  ['Batch', [keys.generations, keys.batches]],
  ['Image', [keys.generations, keys.generation, keys.tags]],
  ['Credits', [keys.credits, keys.entries, keys.quote]],
  ['Account', [keys.me]],
];

/** The stage of a running image. */
export type Stage = { stage: string; attempt: number; attempts_max: number; reason?: string };

class Store<T> {
  private listeners = new Set<() => void>();
  constructor(private value: T) {}
  get = () => this.value;
  set(value: T) {
    this.value = value;
    for (const listener of this.listeners) listener();
  }
  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => {
      this.listeners.delete(listener);
    };
  };
}

const connection = new Store<Connection>('connecting');
const stages = new Store<ReadonlyMap<string, Stage>>(new Map());
const said = new Store('');

/** Stages that are kept (count): those of the open images and some that just ended. */
const STAGES_MOST = 600;

function noteStage(id: string, stage: Stage) {
  const next = new Map(stages.get());
  next.delete(id);
  next.set(id, stage);
  if (next.size > STAGES_MOST) next.delete(next.keys().next().value!);
  stages.set(next);
}

function money(queries: QueryClient, data: Record<string, unknown>) {
  const { available_after: available, held_after: held } = data as { available_after?: number; held_after?: number };
  if (available === undefined || held === undefined) return;
  queries.setQueryData<Schemas['Me']>(keys.me, (me) => me && { ...me, credits: { available, held } });
  queries.setQueryData<Schemas['Credits']>(keys.credits, (credits) => credits && { ...credits, available, held });
}

/** Listens for as long as somebody is signed in. */
export function useLive() {
  const queries = useQueryClient();
  const session = useSession();
  const account = session ? accountOf(session.token) : '';
  useEffect(() => {
    if (!account) return;
    const old = new Set<readonly unknown[]>();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const flush = () => {
      timer = undefined;
      for (const queryKey of old) void queries.invalidateQueries({ queryKey });
      old.clear();
    };
    const event = ({ name, data }: StreamEvent) => {
      if (name === 'progress') {
        noteStage(String(data.generation_id), data as unknown as Stage);
        return;
      }
      if (name === 'resync') {
        void queries.invalidateQueries();
        return;
      }
      if (name.startsWith('Credits')) money(queries, data);
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
  }, [account, queries]);
}

export function useConnection(): Connection {
  return useSyncExternalStore(connection.subscribe, connection.get, () => 'connecting');
}

export function useStages(): ReadonlyMap<string, Stage> {
  return useSyncExternalStore(stages.subscribe, stages.get, stages.get);
}

/** Says something in the one polite status region of the page. */
export function say(text: string) {
  said.set(said.get() === text ? text + '\u200b' : text);
}

export function useSaid(): string {
  return useSyncExternalStore(said.subscribe, said.get, () => '');
}
