import { number } from './formats';

export const assetsWords = {
  note: 'PNG, JPEG or WebP, up to 20 MB. Drop files here, or paste a picture.',
  upload: 'Upload',
  kind: 'Kind',
  kinds: { product: 'Products', reference: 'References', logo: 'Logos' } as Record<string, string>,
  wrongType: 'This is no PNG, JPEG or WebP picture. Save it as one of these and try again.',
  refused: (name: string, why: string) => `${name}: ${why}`,
  added: (name: string) => `${name} is added.`,
  tooMany: (most: number) => `Only the first ${number(most)} files were taken. Drop the rest again in a minute.`,
  emptyTitle: (kind: string) => ({ product: 'No product pictures yet', reference: 'No reference pictures yet', logo: 'No logos yet' })[kind] ?? 'Nothing here yet',
  empty: 'Drop files here, paste a picture, or choose Upload.',
  remove: (name: string) => `Remove ${name || 'this picture'}`,
  removeTitle: 'Remove this picture?',
  removeText: (name: string) => `${name || 'It'} can no longer be chosen. Adverts that were made with it stay.`,
  removeIt: 'Remove it',
  removed: (name: string) => `${name || 'The picture'} is removed.`,
};
