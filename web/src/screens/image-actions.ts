// What one does with finished images: favour, tag, bin, bring back. The caches show it at
// once, and the server's word replaces that.

import { useQueryClient, type InfiniteData, type QueryClient } from '@tanstack/react-query';
import client, { ApiError, decided, newKey, type Schemas } from '../api/client';
import { say } from '../api/notices';
import { keys, refresh } from '../api/queries';
import { words } from '../words';
import { imageWords } from '../words/image';

type Image = Schemas['GenerationSummary'];

function patchCaches(queries: QueryClient, ids: ReadonlySet<string>, change: (image: Image) => Image) {
  queries.setQueriesData<InfiniteData<Schemas['GenerationList']>>({ queryKey: keys.generations }, (data) =>
    data?.pages ? { ...data, pages: data.pages.map((page) => ({ ...page, items: page.items.map((item) => (ids.has(item.id) ? change(item) : item)) })) } : data,
  );
  for (const id of ids) queries.setQueryData<Schemas['Generation']>([...keys.generation, id], (image) => image && ({ ...image, ...change(image) } as Schemas['Generation']));
}

/** Calls that are under way at once: many images are changed in the limits of the api. */
const AT_ONCE = 4;

async function each(ids: string[], call: (id: string) => Promise<unknown>): Promise<ApiError[]> {
  const errors: ApiError[] = [];
  const left = [...ids];
  const work = async () => {
    for (let id = left.shift(); id; id = left.shift()) {
      await call(id).catch((error: unknown) => {
        if (!(error instanceof ApiError)) throw error;
        errors.push(error);
      });
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return errors;
}

export function useImageActions() {
  const queries = useQueryClient();
  const change = async (ids: string[], local: (image: Image) => Image, call: (id: string) => Promise<unknown>, done: string): Promise<ApiError | undefined> => {
    patchCaches(queries, new Set(ids), local);
    const errors = await each(ids, call);
    await refresh(queries, keys.generations, keys.generation, keys.tags);
    say(errors[0] ? words.errorOf(errors[0]).text : done);
    return errors[0];
  };
  const rate = (id: string, body: Schemas['RateGeneration']) => decided(client.PATCH('/v1/generations/{generation_id}', { params: { path: { generation_id: id }, header: { 'Idempotency-Key': newKey() } }, body }));
  return {
    favour: (ids: string[], favourite: boolean) => change(ids, (image) => ({ ...image, favourite }), (id) => rate(id, { favourite }), favourite ? imageWords.favoured(ids.length) : imageWords.unfavoured(ids.length)),
    tag: (images: Image[], add: string[], remove: string[] = []) => {
      const next = (image: Image) => [...image.tags.filter((tag) => !remove.includes(tag) && !add.some((one) => one.toLowerCase() === tag.toLowerCase())), ...add];
      const tags = new Map(images.map((image) => [image.id, next(image)]));
      return change(images.map((image) => image.id), (image) => ({ ...image, tags: tags.get(image.id) ?? image.tags }), (id) => rate(id, { tags: tags.get(id) ?? [] }), imageWords.tagged(images.length));
    },
    rating: (id: string, rating: Image['rating'], reason?: string) => change([id], (image) => ({ ...image, rating }), () => rate(id, { rating, ...(reason === undefined ? {} : { reason }) }), imageWords.rated),
    bin: (ids: string[]) =>
      change(ids, (image) => ({ ...image, deleted_at: new Date().toISOString() }), (id) => decided(client.DELETE('/v1/generations/{generation_id}', { params: { path: { generation_id: id }, header: { 'Idempotency-Key': newKey() } } })), imageWords.binned(ids.length)),
    restore: (ids: string[]) =>
      change(ids, (image) => ({ ...image, deleted_at: null }), (id) => decided(client.POST('/v1/generations/{generation_id}/restore', { params: { path: { generation_id: id }, header: { 'Idempotency-Key': newKey() } } })), imageWords.restored(ids.length)),
  };
}
