// Files come through the api, which wants a token; so they are fetched and handed to the
// browser as they are, under a name that says what they are.

import { ApiError, type Problem, type Schemas } from './api/client';
import { freshToken } from './api/session';

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

/** Fetches an image as its placement takes it and saves it. Errors: ApiError. */
export async function download(image: Schemas['GenerationSummary'], placement = image.placement): Promise<void> {
  let answer: Response;
  try {
    answer = await fetch(`/v1/generations/${image.id}/file?placement=${placement}`, { headers: { Authorization: `Bearer ${(await freshToken()) ?? ''}` } });
  } catch {
    throw new ApiError({}, 0);
  }
  if (!answer.ok) throw new ApiError((await answer.json().catch(() => ({}))) as Problem, answer.status);
  const address = URL.createObjectURL(await answer.blob());
  const link = document.createElement('a');
  link.href = address;
  link.download = fileName(image, placement);
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 60_000);
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
