import dynamic from 'next/dynamic';
import { useRouter } from 'next/router';
import { lazy, Suspense, useDeferredValue, useEffect, useMemo, useRef, useState } from 'react';
import { Archive, Download, Heart, Search, SquareSplitHorizontal, Tag, Trash2, Undo2, X } from 'lucide-react';
import { type ApiError, type Schemas } from '../api/client';
import { say } from '../api/notices';
import { useGenerations, type Filter } from '../api/lists';
import { useBrands, usePlacements, useTags } from '../api/queries';
import { downloadAll } from '../download';
import GalleryGrid from '../screens/gallery-grid';
import { useImageActions } from '../screens/image-actions';
import { Button, ButtonLink, Chip, Empty, Input, PageHead, Select, Skeleton } from '../ui/basics';
import { Dialog } from '../ui/dialog';
import { Failed } from '../ui/failed';
import { Frame } from '../ui/frame';
import { words } from '../words';
import { batchWords } from '../words/batch';
import { galleryWords } from '../words/gallery';
import { homeWords } from '../words/home';

// Lazy although it is here: it is drawn in slices, between which the browser answers.
const Grid = lazy(async () => ({ default: GalleryGrid }));

const ZipDialog = dynamic(() => import('../screens/zip-dialog'), { ssr: false });

/** Milliseconds after the last letter until it is searched. */
const TYPED = 250;

/** Images that can be compared at once (count). */
const COMPARED = { least: 2, most: 4 };

const NAMES = ['brand_id', 'placement', 'tag', 'campaign', 'q', 'batch_id'] as const;

/** The filters as they stand in the address. */
function filterOf(query: Record<string, string | string[] | undefined>): Filter {
  const filter: Filter = { status: 'succeeded' };
  for (const name of NAMES) {
    const value = query[name];
    if (typeof value === 'string' && value) filter[name] = value;
  }
  if (query.favourite === 'true') filter.favourite = true;
  if (query.binned === 'true') filter.binned = true;
  return filter;
}

function GridSkeleton() {
  return (
    <div aria-hidden className="flex flex-wrap gap-2">
      {[1, 0.56, 1.91, 0.8, 1, 0.8, 0.56, 1.91, 1].map((ratio, at) => (
        <div key={at} style={{ width: 230 * ratio }}>
          <Skeleton ratio={ratio} />
        </div>
      ))}
    </div>
  );
}

function TagDialog({ open, onClose, images, known, onSave }: { open: boolean; onClose: () => void; images: Schemas['GenerationSummary'][]; known: string[]; onSave: (add: string[], remove: string[]) => void }) {
  const [text, setText] = useState('');
  const all = [...new Set([...images.flatMap((image) => image.tags), ...known])].slice(0, 40);
  const common = (tag: string) => images.length > 0 && images.every((image) => image.tags.includes(tag));
  const [changed, setChanged] = useState<Record<string, boolean>>({});
  useEffect(() => {
    if (open) {
      setText('');
      setChanged({});
    }
  }, [open]);
  const save = () => {
    const typed = text.split(',').map((tag) => tag.trim()).filter((tag) => tag && tag.length <= 40);
    onSave([...typed, ...all.filter((tag) => changed[tag] === true)], all.filter((tag) => changed[tag] === false));
    onClose();
  };
  return (
    <Dialog open={open} onClose={onClose} title={galleryWords.tagTitle(images.length)} actions={<Button kind="primary" onClick={save}>{words.save}</Button>}>
      <div className="flex flex-col gap-4">
        <label className="flex flex-col gap-1">
          <span className="font-medium">{galleryWords.newTags}</span>
          <Input autoFocus value={text} maxLength={200} placeholder={galleryWords.newTagsHint} onChange={(event) => setText(event.target.value)} onKeyDown={(event) => event.key === 'Enter' && save()} />
        </label>
        {all.length > 0 && (
          <div className="flex flex-wrap gap-2">
            {all.map((tag) => {
              const on = changed[tag] ?? common(tag);
              return (
                <Chip key={tag} on={on} onClick={() => setChanged({ ...changed, [tag]: !on })}>
                  {tag}
                </Chip>
              );
            })}
          </div>
        )}
      </div>
    </Dialog>
  );
}

export default function Gallery() {
  const router = useRouter();
  const filter = useMemo(() => filterOf(router.query), [router.query]);
  const list = useGenerations(filter, router.isReady);
  const placements = usePlacements();
  const brands = useBrands();
  const tags = useTags();
  const actions = useImageActions();
  const [selected, setSelected] = useState<ReadonlySet<string>>(new Set());
  const [tagging, setTagging] = useState(false);
  const [zipping, setZipping] = useState<boolean>(); // undefined: not loaded yet
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<ApiError>();
  const [typed, setTyped] = useState('');
  const anchor = useRef<string>(undefined);
  const search = useRef<HTMLInputElement>(null);

  const images = useMemo(() => (list.data?.pages.flatMap((page) => page.items) ?? []).filter((image) => !!image.deleted_at === !!filter.binned), [list.data, filter.binned]);
  const of = useMemo(() => new Map(placements.data?.map((placement) => [placement.id, placement])), [placements.data]);
  const chosen = images.filter((image) => selected.has(image.id));
  const ready = useDeferredValue(!!list.data); // the grid is drawn in slices, between which the browser answers
  const filtered = NAMES.some((name) => filter[name]) || !!filter.favourite;

  const set = (change: Record<string, string | undefined>) => {
    const query = Object.fromEntries(Object.entries({ ...router.query, ...change }).filter(([, value]) => value)) as Record<string, string>;
    setSelected(new Set());
    void router.replace({ pathname: '/gallery', query }, undefined, { shallow: true, scroll: false });
  };
  useEffect(() => setTyped(filter.q ?? ''), [filter.q]);
  useEffect(() => {
    if (typed.trim() === (filter.q ?? '')) return;
    const timer = setTimeout(() => set({ q: typed.trim() || undefined }), TYPED);
    return () => clearTimeout(timer);
  }, [typed]); // eslint-disable-line react-hooks/exhaustive-deps
  useEffect(() => {
    const slash = (event: KeyboardEvent) => {
      if (event.key !== '/' || document.querySelector('dialog[open]') || (event.target instanceof HTMLElement && /INPUT|TEXTAREA|SELECT/.test(event.target.tagName))) return;
      event.preventDefault();
      search.current?.focus();
    };
    window.addEventListener('keydown', slash);
    return () => window.removeEventListener('keydown', slash);
  }, []);

  // The bar over the gallery goes with the last selected image; the focus that was in it, back to the images.
  const hadSelected = useRef(false);
  useEffect(() => {
    if (hadSelected.current && selected.size === 0 && document.activeElement === document.body) document.querySelector<HTMLElement>('main [role=list] a[tabindex="0"]')?.focus({ preventScroll: true });
    hadSelected.current = selected.size > 0;
  }, [selected]);

  const select = (id: string, on: boolean, range: boolean) => {
    const next = new Set(selected);
    const ids = images.map((image) => image.id);
    const [from, to] = [ids.indexOf(anchor.current ?? id), ids.indexOf(id)];
    for (const one of range && from >= 0 ? ids.slice(Math.min(from, to), Math.max(from, to) + 1) : [id]) {
      if (on) next.add(one);
      else next.delete(one);
    }
    anchor.current = id;
    setSelected(next);
    say(galleryWords.selected(next.size));
  };
  const act = async (what: Promise<ApiError | undefined>) => {
    setBusy(true);
    setFailure(await what);
    setBusy(false);
    setSelected(new Set());
  };
  const save = async () => {
    setBusy(true);
    const failed = await downloadAll(chosen, (n) => say(batchWords.saved(n, chosen.length)));
    setFailure(failed[0]?.error);
    setBusy(false);
  };
  const ids = [...selected];

  return (
    <Frame title={filter.binned ? galleryWords.bin : galleryWords.title} flush>
      <div className="flex flex-col gap-4 px-4 py-6 sm:px-6">
        <PageHead title={filter.binned ? galleryWords.bin : galleryWords.title} note={filter.binned ? galleryWords.binNote : undefined}>
          <ButtonLink kind="quiet" icon={filter.binned ? Undo2 : Trash2} href={filter.binned ? '/gallery' : '/gallery?binned=true'}>
            {filter.binned ? galleryWords.back : galleryWords.bin}
          </ButtonLink>
        </PageHead>
        <div className="flex flex-wrap items-center gap-2" role="search">
          <div className="relative w-full sm:w-64">
            <Search size={16} aria-hidden className="absolute top-1/2 left-3 -translate-y-1/2 text-muted" />
            <Input ref={search} type="search" aria-label={galleryWords.search} placeholder={galleryWords.search} value={typed} maxLength={100} onChange={(event) => setTyped(event.target.value)} className="pl-9" />
          </div>
          {(brands.data?.length ?? 0) > 1 && (
            <Select aria-label={galleryWords.brand} className="w-auto! max-sm:flex-1" value={filter.brand_id ?? ''} onChange={(event) => set({ brand_id: event.target.value || undefined })}>
              <option value="">{galleryWords.allBrands}</option>
              {brands.data?.map((brand) => (
                <option key={brand.id} value={brand.id}>
                  {brand.kit?.name ?? words.erased}
                </option>
              ))}
            </Select>
          )}
          <Select aria-label={galleryWords.placement} className="w-auto! max-sm:min-w-0 max-sm:basis-40 max-sm:flex-1" value={filter.placement ?? ''} onChange={(event) => set({ placement: event.target.value || undefined })}>
            <option value="">{galleryWords.allPlacements}</option>
            {placements.data?.map((placement) => (
              <option key={placement.id} value={placement.id}>
                {`${words.platforms[placement.platform] ?? placement.platform} · ${placement.name}`}
              </option>
            ))}
          </Select>
          <Chip on={!!filter.favourite} onClick={() => set({ favourite: filter.favourite ? undefined : 'true' })}>
            {galleryWords.favourites}
          </Chip>
          {tags.data?.slice(0, 8).map(({ tag }) => (
            <Chip key={tag} on={filter.tag === tag} onClick={() => set({ tag: filter.tag === tag ? undefined : tag })}>
              {tag}
            </Chip>
          ))}
          {filter.campaign && (
            <Chip on onClick={() => set({ campaign: undefined })}>
              {filter.campaign}
            </Chip>
          )}
          {filtered && (
            <Button kind="quiet" icon={X} onClick={() => void router.replace(filter.binned ? '/gallery?binned=true' : '/gallery', undefined, { shallow: true })}>
              {galleryWords.clear}
            </Button>
          )}
        </div>
        {failure && <Failed error={failure} />}
        {list.error && <Failed error={list.error} retry={() => void list.refetch()} />}
        {!(ready && list.data) && !list.error ? (
          <GridSkeleton />
        ) : images.length > 0 ? (
          <Suspense fallback={<GridSkeleton />}>
            <Grid
              images={images}
              placements={of}
              selected={selected}
              onSelect={select}
              onFavour={(image) => void actions.favour([image.id], !image.favourite)}
              onOpen={(image) => void router.push({ pathname: '/image', query: { ...router.query, id: image.id } })}
              onEscape={() => (selected.size ? setSelected(new Set()) : undefined)}
              onNearEnd={() => list.hasNextPage && !list.isFetchingNextPage && void list.fetchNextPage()}
            />
          </Suspense>
        ) : list.error ? null : filtered ? (
          <Empty title={galleryWords.noMatchTitle} action={<ButtonLink href={filter.binned ? '/gallery?binned=true' : '/gallery'}>{galleryWords.clear}</ButtonLink>}>
            {galleryWords.noMatch}
          </Empty>
        ) : filter.binned ? (
          <Empty title={galleryWords.binEmptyTitle}>{galleryWords.binEmpty}</Empty>
        ) : (
          <Empty title={galleryWords.emptyTitle} action={<ButtonLink kind="primary" href="/create?sample=1">{homeWords.first}</ButtonLink>}>
            {galleryWords.empty}
          </Empty>
        )}
      </div>
      {selected.size > 0 && (
        <div role="toolbar" aria-label={galleryWords.selected(selected.size)} className="enter fixed inset-x-3 bottom-4 z-30 mx-auto flex w-fit max-w-[calc(100vw-1.5rem)] sm:left-19 lg:left-59 flex-wrap items-center gap-1 rounded-panel bg-raised p-1.5 shadow-float max-sm:bottom-20 max-sm:[&_button]:px-2.5 max-sm:[&_svg]:hidden">
          <span className="numbers px-2.5 font-medium">{galleryWords.selected(selected.size)}</span>
          {filter.binned ? (
            <Button kind="quiet" icon={Undo2} busy={busy} onClick={() => void act(actions.restore(ids))}>
              {galleryWords.restore}
            </Button>
          ) : (
            <>
              <Button kind="quiet" icon={Download} busy={busy} onClick={() => void save()}>
                {galleryWords.download}
              </Button>
              <Button kind="quiet" icon={Archive} aria-label={galleryWords.zip} title={galleryWords.zip} onClick={() => setZipping(true)}>
                {galleryWords.zipShort}
              </Button>
              <Button kind="quiet" icon={SquareSplitHorizontal} disabled={ids.length < COMPARED.least || ids.length > COMPARED.most} title={galleryWords.compareHint} onClick={() => void router.push(`/compare?ids=${ids.join(',')}`)}>
                {galleryWords.compare}
              </Button>
              <Button kind="quiet" icon={Tag} onClick={() => setTagging(true)}>
                {galleryWords.tag}
              </Button>
              <Button kind="quiet" icon={Heart} disabled={busy} onClick={() => void act(actions.favour(ids, !chosen.every((image) => image.favourite)))}>
                {galleryWords.favourite}
              </Button>
              <Button kind="quiet" icon={Trash2} disabled={busy} onClick={() => void act(actions.bin(ids))}>
                {galleryWords.toBin}
              </Button>
            </>
          )}
          <Button kind="quiet" icon={X} onClick={() => setSelected(new Set())}>
            {galleryWords.unselect}
          </Button>
        </div>
      )}
      {zipping !== undefined && <ZipDialog open={zipping} onClose={() => setZipping(false)} images={chosen} placements={placements.data ?? []} />}
      <TagDialog open={tagging} onClose={() => setTagging(false)} images={chosen} known={tags.data?.map(({ tag }) => tag) ?? []} onSave={(add, remove) => void act(actions.tag(chosen, add, remove))} />
    </Frame>
  );
}
