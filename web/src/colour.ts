// Colours of a brand: which one has a role, and which ink can be read on it.

import type { Kit } from './api/queries';

export function roleColour(kit: Kit | null | undefined, role: string): string | undefined {
  const colours = kit?.colours ?? [];
  return (colours.find((colour) => colour.role === role) ?? (role === 'primary' ? colours[0] : undefined))?.hex;
}

/** Relative luminance of #rrggbb, 0 to 1 (WCAG 2.2). */
export function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const channel = parseInt(hex.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

/** Black or white, whichever has the greater contrast on a ground. */
export function inkOn(hex: string): string {
  const ground = luminance(hex);
  return (ground + 0.05) / 0.05 > 1.05 / (ground + 0.05) ? '#111' : '#fff';
}
