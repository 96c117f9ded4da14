// The long lists, which are read page by page. Beside the other reads: no form waits for them.

import { keepPreviousData, useInfiniteQuery } from '@tanstack/react-query';
import client, { dataOf, type Schemas } from './client';
import { keys, PAGE } from './queries';

export function useEntries() {
  return useInfiniteQuery({
    queryKey: keys.entries,
    queryFn: ({ pageParam }) =>
      dataOf(client.GET('/v1/credits/entries', { params: { query: { cursor: pageParam, limit: 50 } }, headers: { Accept: 'application/json' } })) as Promise<Schemas['CreditEntryList']>,
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });
}

export function useAssets(filter: { kind?: Schemas['AssetKind']; brand_id?: string } = {}) {
  return useInfiniteQuery({
    queryKey: [...keys.assets, filter],
    queryFn: ({ pageParam }) => dataOf(client.GET('/v1/assets', { params: { query: { ...filter, cursor: pageParam, limit: PAGE } } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
  });
}

export type Filter = {
  brand_id?: string;
  batch_id?: string;
  placement?: string;
  status?: Schemas['GenerationStatus'];
  tag?: string;
  campaign?: string;
  q?: string;
  favourite?: boolean;
  binned?: boolean;
};

export function useGenerations(filter: Filter, enabled = true) {
  return useInfiniteQuery({
    queryKey: [...keys.generations, filter],
    queryFn: ({ pageParam }) => dataOf(client.GET('/v1/generations', { params: { query: { ...filter, cursor: pageParam, limit: PAGE } } })),
    initialPageParam: undefined as string | undefined,
    getNextPageParam: (last) => last.next_cursor ?? undefined,
    placeholderData: keepPreviousData,
    enabled,
  });
}
