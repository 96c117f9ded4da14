// Files come through the api, which wants a token; so they are fetched and handed to the
// browser as they are, under a name that says what they are.

import { ApiError, authorized, type Schemas } from './api/client';

function slug(text: string): string {
  return text
    .normalize('NFKD')
    .replace(/[^\w]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .toLowerCase()
    .slice(0, 40);
}

/** The name of a file, as people sort them: brand or headline, placement, number. */
export function fileName(image: Pick<Schemas['GenerationSummary'], 'placement' | 'number' | 'id' | 'headline' | 'product'>, placement: string): string {
  return `${slug(image.headline || image.product || 'advert') || 'advert'}-${placement}-${image.number}-${image.id.slice(0, 8)}.jpg`;
}

/** Milliseconds for which the browser may read a file that it was handed. */
const HANDED = 60_000;

/** Hands a file to the browser to keep. */
export function save(file: Blob, name: string) {
  const address = URL.createObjectURL(file);
  const link = document.createElement('a');
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), HANDED);
}

/** Fetches an image as its placement takes it, with what its layout sets over it, and saves it. Errors: ApiError. */
export async function download(image: Schemas['GenerationSummary'], placement = image.placement, overlay?: Schemas['Overlay']): Promise<void> {
  const answer = await authorized(`/v1/generations/${image.id}/file?placement=${placement}${overlay ? `&overlay=${overlay}` : ''}`);
  save(await answer.blob(), fileName(image, placement));
}

/** Downloads one after the other; returns those that failed. */
export async function downloadAll(images: Schemas['GenerationSummary'][], progress: (done: number) => void): Promise<{ image: Schemas['GenerationSummary']; error: ApiError }[]> {
  const failed: { image: Schemas['GenerationSummary']; error: ApiError }[] = [];
  for (const [at, image] of images.entries()) {
    try {
      await download(image);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      failed.push({ image, error });
    }
    progress(at + 1);
  }
  return failed;
}
