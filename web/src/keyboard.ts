// Short keys for what one does often. None works while one types.

import type { NextRouter } from 'next/router';
import { useEffect, useRef } from 'react';

export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));
}

/** Milliseconds within which the second key of two must come. */
const SECOND_KEY = 1200;

/** Where `g` and a second key lead. */
export const GO: Record<string, string> = { h: '/', c: '/create', g: '/gallery', b: '/brands', a: '/assets', m: '/credits', s: '/settings' };

/** `paused`: the palette is on its way, and what is typed is for it. */
export function useShortKeys(router: NextRouter, openPalette: () => void, paused: boolean) {
  const open = useRef(openPalette);
  open.current = openPalette;
  const waits = useRef(paused);
  waits.current = paused;
  useEffect(() => {
    let went = 0;
    const pressed = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        open.current();
        return;
      }
      if (waits.current || event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target) || document.querySelector('dialog[open]')) return;
      const place = event.timeStamp - went < SECOND_KEY ? GO[event.key] : undefined;
      went = 0;
      if (place) {
        event.preventDefault();
        void router.push(place);
      } else if (event.key === 'g') went = event.timeStamp;
      else if (event.key === 'c') void router.push('/create');
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, [router]);
}

/** Calls back with keys that are pressed outside of fields and dialogs. */
export function useKeys(handle: (event: KeyboardEvent) => void) {
  const latest = useRef(handle);
  latest.current = handle;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.metaKey || event.ctrlKey || event.altKey || isTyping(event.target) || document.querySelector('dialog[open]')) return;
      latest.current(event);
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);
}
