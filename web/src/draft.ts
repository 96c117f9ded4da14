// The brief that one is writing. It is kept as one types, by brand, so that a reload, a
// lost connection or an ended session takes nothing.

import { useCallback } from 'react';
import type { Schemas } from './api/client';
import { keep, kept, useKept } from './kept';

export type Draft = {
  product: string;
  offer: string;
  audience: string;
  objective: string;
  headline: string;
  call_to_action: string;
  scene: string;
  must: string[];
  never: string[];
  references: string[];
  placements: string[];
  variants: number;
  tier: Schemas['Tier'];
  campaign: string;
};

/** What a new brief begins with: four placements, one image each. */
export const EMPTY: Draft = {
  product: '',
  offer: '',
  audience: '',
  objective: '',
  headline: '',
  call_to_action: '',
  scene: '',
  must: [],
  never: [],
  references: [],
  placements: ['meta_feed_square', 'meta_story', 'google_landscape', 'google_portrait'],
  variants: 1,
  tier: 'standard',
  campaign: '',
};

/** Bounds of the fields: those of the contract (api/openapi.yaml, Brief). */
export const MOST = { product: 500, offer: 300, audience: 500, objective: 200, headline: 90, call_to_action: 30, scene: 1000, line: 200, lines: 10, references: 10, campaign: 100 };

export function useDraft(brand: string | undefined): [Draft, (change: Partial<Draft>) => void, () => void] {
  const name = `draft.${brand ?? ''}`;
  const draft = { ...EMPTY, ...useKept<Partial<Draft>>(name) };
  const change = useCallback((part: Partial<Draft>) => keep(name, { ...EMPTY, ...kept<Partial<Draft>>(name), ...part }), [name]);
  const clear = useCallback(() => keep(name, undefined), [name]);
  return [draft, change, clear];
}

export function toRequest(draft: Draft, brand: string): Schemas['GenerationRequest'] {
  const text = (value: string) => value.trim() || undefined;
  const lines = (all: string[]) => {
    const filled = all.map((line) => line.trim()).filter(Boolean);
    return filled.length ? filled : undefined;
  };
  return {
    brand_id: brand,
    workflow: 'create',
    brief: {
      product: draft.product.trim(),
      offer: text(draft.offer),
      audience: text(draft.audience),
      objective: text(draft.objective),
      headline: text(draft.headline),
      call_to_action: text(draft.call_to_action),
      scene: text(draft.scene),
      must: lines(draft.must),
      never: lines(draft.never),
      reference_asset_ids: draft.references.length ? draft.references : undefined,
    },
    placements: draft.placements,
    variants: draft.variants,
    tier: draft.tier,
    campaign: text(draft.campaign),
  };
}

/** The words of the brand's banned ones that a text has. */
export function bannedIn(text: string, banned: string[] | undefined): string[] {
  const lower = text.toLowerCase();
  return (banned ?? []).filter((word) => new RegExp(`(^|[^\\p{L}\\p{N}])${word.toLowerCase().replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}($|[^\\p{L}\\p{N}])`, 'u').test(lower));
}
