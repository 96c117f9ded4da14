// What the stream last said that is not in a cache: whether it is there, and the stages of
// running images; and what is said in the page's status region.

import { useSyncExternalStore } from 'react';
import type { Connection } from './stream';

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

export const connection = new Store<Connection>('connecting');
export const stages = new Store<ReadonlyMap<string, Stage>>(new Map());
const said = new Store('');

/** Stages that are kept (count): those of the open images and some that just ended. */
const STAGES_MOST = 600;

export function noteStage(id: string, stage: Stage) {
  const next = new Map(stages.get());
  next.delete(id);
  next.set(id, stage);
  if (next.size > STAGES_MOST) next.delete(next.keys().next().value!);
  stages.set(next);
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
