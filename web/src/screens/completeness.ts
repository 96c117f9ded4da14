import type { Kit } from '../api/queries';
import { brandWords } from '../words/brand';

type Part = keyof typeof brandWords.parts;

const HAS: Record<Part, (kit: Kit) => boolean> = {
  logo: (kit) => !!kit.logo_asset_id,
  colours: (kit) => (kit.colours?.length ?? 0) >= 2,
  voice: (kit) => !!kit.voice?.trim(),
  audience: (kit) => !!kit.audience?.trim(),
  do: (kit) => !!kit.do?.length,
  dont: (kit) => !!kit.dont?.length,
};

/** What a kit has of what makes adverts better, and what is missing, with why it helps. */
export function completeness(kit: Kit | null | undefined): { done: number; of: number; missing: Part[] } {
  const parts = Object.keys(HAS) as Part[];
  const missing = parts.filter((part) => !kit || !HAS[part](kit));
  return { done: parts.length - missing.length, of: parts.length, missing };
}
