// Names of files in a ZIP, as the api makes them (api/filenames.go), for an example before.

import type { Schemas } from './api/client';

export const NAMING = '{campaign}_{brand}_{placement}_{number}';

/** The fields of a template. */
export const FIELDS = ['campaign', 'brand', 'product', 'placement', 'platform', 'width', 'height', 'number', 'variant', 'date', 'id'] as const;

const FIELD = /\{([^{}]*)\}/g;

/** What is wrong with a template: a field that there is not, a brace alone, nothing at all. */
export function brokenNaming(template: string): { field: string } | 'brace' | 'empty' | undefined {
  if (!template.trim()) return 'empty';
  for (const [, field = ''] of template.matchAll(FIELD)) if (!(FIELDS as readonly string[]).includes(field)) return { field };
  return /[{}]/.test(template.replace(FIELD, '')) ? 'brace' : undefined;
}

/** Letters and digits, with single -, _ and dots inside. */
function safe(text: string): string {
  let name = '';
  for (const char of text.normalize('NFC')) {
    const one = /[\p{L}\p{Nd}\p{M}_.]/u.test(char) ? char : '-';
    if (/[-_.]/.test(one) && /[-_.]$/.test(name)) continue;
    name += one;
  }
  return name.replace(/^[-_.]+|[-_.]+$/g, '').slice(0, 120);
}

/** The first file's name in its folder. */
export function exampleName(template: string, image: Schemas['GenerationSummary'], brand: string, placement: Schemas['Placement']): string {
  const values: Record<string, string> = {
    campaign: image.campaign ?? '',
    brand,
    product: image.product ?? '',
    placement: placement.id,
    platform: placement.platform,
    width: String(placement.width),
    height: String(placement.height),
    number: '01',
    variant: String(image.number),
    date: image.requested_at.slice(0, 10),
    id: image.id,
  };
  return `${placement.id}/${safe(template.replace(FIELD, (_, field: string) => safe(values[field] ?? ''))) || 'image'}.jpg`;
}
