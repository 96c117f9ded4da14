// What the browser keeps for one person: small documents in local storage, by account.

import { useSyncExternalStore } from 'react';
import { accountOf, session } from './api/session';

const listeners = new Set<() => void>();
const cache = new Map<string, { text: string | null; value: unknown }>();

function keyOf(name: string): string {
  const token = session()?.token;
  return `atelier.${token ? accountOf(token) : ''}.${name}`;
}

/** The kept document, undefined where there is none or it cannot be read. */
export function kept<T>(name: string): T | undefined {
  if (typeof window === 'undefined') return undefined;
  const key = keyOf(name);
  let text: string | null = null;
  try {
    text = localStorage.getItem(key);
  } catch {
    return cache.get(key)?.value as T | undefined;
  }
  const known = cache.get(key);
  if (known && known.text === text) return known.value as T | undefined;
  let value: T | undefined;
  try {
    value = text === null ? undefined : (JSON.parse(text) as T);
  } catch {
    value = undefined;
  }
  cache.set(key, { text, value });
  return value;
}

export function keep(name: string, value: unknown) {
  const key = keyOf(name);
  const text = value === undefined ? null : JSON.stringify(value);
  cache.set(key, { text, value });
  try {
    if (text === null) localStorage.removeItem(key);
    else localStorage.setItem(key, text);
  } catch {
    // Full, or forbidden: it is kept as long as the page.
  }
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  window.addEventListener('storage', listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener('storage', listener);
  };
}

export function useKept<T>(name: string): T | undefined {
  return useSyncExternalStore(subscribe, () => kept<T>(name), () => undefined);
}
