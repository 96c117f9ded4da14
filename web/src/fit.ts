import type { Schemas } from './api/client';

/** The share of an image that may be cut off for a placement; beyond it the api refuses the file (`needs_adapt`). */
const LOSS_MOST = 0.25;

/** Whether a placement's file can be cut from an image. */
export function fits(image: Pick<Schemas['Image'], 'width' | 'height'>, placement: Pick<Schemas['Placement'], 'width' | 'height'>): boolean {
  const [a, b] = [image.width / image.height, placement.width / placement.height];
  return 1 - Math.min(a / b, b / a) <= LOSS_MOST;
}

/** What is set over an image in a placement. A layout that does not say leaves Google's pictures without words. */
export function overlayIn(layout: Schemas['Layout'], placement: Schemas['Placement']): Schemas['Overlay'] {
  return layout.placements?.[placement.id]?.overlay ?? layout.overlay ?? (placement.platform === 'google' ? 'none' : 'brand');
}
