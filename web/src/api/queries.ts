// What the screens read, by the keys under which it is kept. live.ts says which events
// make which of them old.

import { useQuery, type QueryClient } from '@tanstack/react-query';
import client, { dataOf, type Schemas } from './client';

export const keys = {
  all: [] as const,
  me: ['me'] as const,
  credits: ['credits'] as const,
  entries: ['entries'] as const,
  brands: ['brands'] as const,
  assets: ['assets'] as const,
  generations: ['generations'] as const,
  generation: ['generation'] as const,
  batches: ['batches'] as const,
  batch: ['batch'] as const,
  tags: ['tags'] as const,
};

/** Items of a page of a long list; the api gives at most 100. */
export const PAGE = 100;

export function useMe() {
  return useQuery({ queryKey: keys.me, queryFn: () => dataOf(client.GET('/v1/me')) });
}

export function useCredits() {
  return useQuery({ queryKey: keys.credits, queryFn: () => dataOf(client.GET('/v1/credits')) });
}

export type Kit = {
  name: string;
  tagline?: string;
  logo_asset_id?: string;
  colours?: { name?: string; hex: string; role?: string }[];
  forbidden_colours?: string[];
  fonts?: string[];
  voice?: string;
  audience?: string;
  do?: string[];
  dont?: string[];
  banned_words?: string[];
};

export type Brand = Omit<Schemas['Brand'], 'kit'> & { kit: Kit | null };

export function useBrands(archived = false) {
  return useQuery({
    queryKey: [...keys.brands, { archived }],
    queryFn: async () => (await dataOf(client.GET('/v1/brands', { params: { query: { archived, limit: PAGE } } }))).items as unknown as Brand[],
  });
}

export function useBrand(id: string | undefined) {
  return useQuery({
    queryKey: [...keys.brands, id],
    queryFn: async () => (await dataOf(client.GET('/v1/brands/{brand_id}', { params: { path: { brand_id: id! } } }))) as unknown as Brand,
    enabled: !!id,
  });
}

export function useAsset(id: string | undefined) {
  return useQuery({
    queryKey: [...keys.assets, id],
    queryFn: () => dataOf(client.GET('/v1/assets/{asset_id}', { params: { path: { asset_id: id! } } })),
    enabled: !!id,
  });
}

/** The catalogue changes with a release of the server only. */
const FIXED = { staleTime: Infinity, gcTime: Infinity };

export function usePlacements() {
  return useQuery({ queryKey: ['placements'], queryFn: async () => (await dataOf(client.GET('/v1/placements'))).items, ...FIXED });
}

export function useWorkflows() {
  return useQuery({ queryKey: ['workflows'], queryFn: () => dataOf(client.GET('/v1/workflows')), ...FIXED });
}

export function usePacks() {
  return useQuery({ queryKey: ['packs'], queryFn: () => dataOf(client.GET('/v1/packs')), ...FIXED });
}

export function useBatch(id: string | undefined) {
  return useQuery({
    queryKey: [...keys.batch, id],
    queryFn: () => dataOf(client.GET('/v1/batches/{batch_id}', { params: { path: { batch_id: id! } } })),
    enabled: !!id,
  });
}

export function useBatches(open: boolean | undefined, limit: number) {
  return useQuery({
    queryKey: [...keys.batches, { open, limit }],
    queryFn: async () => (await dataOf(client.GET('/v1/batches', { params: { query: { open, limit } } }))).items,
  });
}

export function useGeneration(id: string | undefined) {
  return useQuery({
    queryKey: [...keys.generation, id],
    queryFn: () => dataOf(client.GET('/v1/generations/{generation_id}', { params: { path: { generation_id: id! } } })),
    enabled: !!id,
  });
}

export function useTags() {
  return useQuery({ queryKey: keys.tags, queryFn: async () => (await dataOf(client.GET('/v1/tags'))).items });
}

/**
 * Reads afresh what changed: at once where it is shown. What is being read for the first time is
 * read again after that: its answer may be from before, and a query without data has nothing that
 * could be made old.
 */
export function refresh(queries: QueryClient, ...changed: (readonly unknown[])[]) {
  return Promise.all(
    changed.flatMap((queryKey) => [
      ...queries
        .getQueryCache()
        .findAll({ queryKey, fetchStatus: 'fetching', predicate: ({ state }) => state.data === undefined })
        .map(async ({ queryKey, promise }) => {
          await promise?.catch(() => undefined);
          await queries.invalidateQueries({ queryKey, exact: true }, { cancelRefetch: false });
        }),
      queries.invalidateQueries({ queryKey }),
    ]),
  );
}
