// Where the palette lives: above the screens, so that it stays when one takes the place of
// another beneath it, and what is typed into it is not taken for short keys.

import dynamic from 'next/dynamic';
import { useRouter } from 'next/router';
import { useEffect, useState } from 'react';
import { useShortKeys } from '../keyboard';

const CommandPalette = dynamic(() => import('./command-palette'), { ssr: false });

let open: (() => void) | undefined;

/** Opens the palette. */
export const openPalette = () => open?.();

export function Palette() {
  const router = useRouter();
  const [shown, setShown] = useState(false);
  useShortKeys(router, () => setShown(true), shown);
  useEffect(() => {
    open = () => setShown(true);
    return () => {
      open = undefined;
    };
  }, []);
  return shown && <CommandPalette onClose={() => setShown(false)} />;
}
