import dynamic from 'next/dynamic';
import Link from 'next/link';
import { useRouter } from 'next/router';
import { useEffect, useState, type ReactNode } from 'react';
import { ArrowLeft, ChevronLeft, ChevronRight, Heart, ThumbsDown, ThumbsUp, Trash2, Undo2, ZoomIn, ZoomOut } from 'lucide-react';
import { ApiError, authorized } from '../api/client';
import { useGenerations, type Filter } from '../api/lists';
import { useBatch, useBrand, useGeneration, usePlacements } from '../api/queries';
import { download } from '../download';
import { fits, overlayIn } from '../fit';
import { useKeys } from '../keyboard';
import { Downloads } from '../screens/downloads';
import { useImageActions } from '../screens/image-actions';
import { ReceiptView } from '../screens/receipt';
import { Button, ButtonLink, Chip, classes, Empty, Field, IconButton, Skeleton, TextArea } from '../ui/basics';
import { Failed } from '../ui/failed';
import { Frame } from '../ui/frame';
import { Tabs } from '../ui/tabs';
import { words } from '../words';
import { batchWords } from '../words/batch';
import { brandWords } from '../words/brand';
import { createWords } from '../words/create';
import { creditsWords } from '../words/credits';
import { galleryWords } from '../words/gallery';
import { imageWords } from '../words/image';
import { receiptWords } from '../words/receipt';

/** The most that one can zoom in, times the fitting size. */
const ZOOM_MOST = 4;

function Section({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="flex flex-col gap-2 border-t py-4 first:border-t-0">
      <h2 className="font-semibold">{title}</h2>
      {children}
    </section>
  );
}

function Facts({ facts }: { facts: [string, ReactNode][] }) {
  return (
    <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1">
      {facts.map(([name, value]) => (
        <div key={name} className="contents">
          <dt className="text-muted">{name}</dt>
          <dd className="numbers text-right break-words">{value}</dd>
        </div>
      ))}
    </dl>
  );
}

// What one opens by and by has its own files.
const LayoutEditor = dynamic(() => import('../screens/layout-editor'), { ssr: false });
const MakeMore = dynamic(() => import('../screens/make-more'), { ssr: false });
const Lineage = dynamic(() => import('../screens/lineage'), { ssr: false });
const NotMade = dynamic(() => import('../screens/not-made'), { ssr: false });

/** What the panel shows; it stands in the address. */
const VIEWS = ['details', 'edit', 'more'] as const;
type View = (typeof VIEWS)[number];

export default function ImagePage() {
  const router = useRouter();
  const id = typeof router.query.id === 'string' ? router.query.id : undefined;
  const image = useGeneration(id);
  const data = image.data;
  const batch = useBatch(data?.batch_id);
  const brand = useBrand(data?.brand_id);
  const placements = usePlacements();
  const actions = useImageActions();
  const [zoom, setZoom] = useState(1);
  const [copy, setCopy] = useState<boolean>();
  const [ground, setGround] = useState<HTMLDivElement | null>(null);
  const [failure, setFailure] = useState<unknown>();
  const [reason, setReason] = useState<string>();

  // The neighbours are those of the gallery that one came from, by its filters.
  const { id: _, panel: wanted, ...rest } = router.query;
  const filter: Filter = { status: 'succeeded', ...(rest as Filter), ...(rest.favourite === 'true' ? { favourite: true } : {}), ...(rest.binned === 'true' ? { binned: true } : {}) };
  const list = useGenerations(filter, router.isReady);
  const all = list.data?.pages.flatMap((page) => page.items) ?? [];
  const at = all.findIndex((one) => one.id === id);
  const go = (step: number) => {
    const next = all[at + step];
    if (at >= 0 && next) void router.replace({ pathname: '/image', query: { ...router.query, id: next.id } }, undefined, { shallow: true });
  };
  useEffect(() => {
    setZoom(1);
    setCopy(undefined);
    setReason(undefined);
    setFailure(undefined);
  }, [id]);
  useEffect(() => {
    if (at >= all.length - 3 && list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage();
  }, [at, all.length, list]);

  const back = { pathname: '/gallery', query: rest as Record<string, string> };
  const save = async () => {
    if (!data) return;
    setFailure(undefined);
    await download(data).catch(setFailure);
  };
  const view: View = data?.image && !data.deleted_at ? (VIEWS.find((one) => one === wanted) ?? 'details') : 'details';
  const show = (next: View) => {
    const { panel: __, ...query } = router.query;
    void router.replace({ pathname: '/image', query: next === 'details' ? query : { ...query, panel: next } }, undefined, { shallow: true, scroll: false });
  };
  useKeys((event) => {
    if (event.key === 'ArrowLeft') go(-1);
    else if (event.key === 'ArrowRight') go(1);
    else if (event.key === 'Escape') void router.push(back);
    else if (event.key === 'f' && data?.image) void actions.favour([data.id], !data.favourite);
    else if (event.key === 'd' && data?.image) void save();
    else if (event.key === '+' || event.key === '=') setZoom((old) => Math.min(ZOOM_MOST, old * 1.5));
    else if (event.key === '-') setZoom((old) => Math.max(1, old / 1.5));
    else return;
    event.preventDefault();
  });

  const placement = placements.data?.find((one) => one.id === data?.placement);
  const picture = data?.image;
  const layout = data?.layout;
  // The advert as it leaves, where the picture has its words in its own placement.
  const hasWords = !!layout && (layout.headline || layout.call_to_action || layout.logo);
  const worded = !!placement && !!picture && fits(picture, placement) && !!hasWords;
  const composed = worded && (copy ?? overlayIn(layout, placement) === 'brand');
  const rules = brand.data?.kit && brand.data.version === batch.data?.brand_version ? brand.data.kit : undefined;
  const name = placement?.name ?? data?.placement ?? '';
  if (image.error)
    return (
      <Frame title={imageWords.title}>
        {(image.error as ApiError).status === 404 ? (
          <Empty page title={imageWords.goneTitle} action={<ButtonLink kind="primary" href="/gallery">{words.nav.gallery}</ButtonLink>}>
            {imageWords.goneText}
          </Empty>
        ) : (
          <Failed error={image.error} retry={() => void image.refetch()} />
        )}
      </Frame>
    );
  return (
    <Frame title={data ? imageWords.heading(data) : imageWords.title} flush>
      <div className="flex max-lg:flex-col lg:h-dvh">
        <div className={classes('relative flex min-w-0 flex-col bg-sunken max-lg:shrink-0 lg:flex-1', view === 'edit' ? 'max-lg:sticky max-lg:top-0 max-lg:z-10 max-lg:h-[52dvh]' : 'max-lg:h-[70dvh]')}>
          <div className="flex items-center justify-between gap-2 p-2">
            <Link href={back} className="inline-flex h-9 items-center gap-2 rounded-control px-3 hover:bg-canvas">
              <ArrowLeft size={16} aria-hidden />
              {words.nav.gallery}
            </Link>
            <div className="flex items-center gap-1">
              {worded && view !== 'edit' && (
                <Chip on={composed} onClick={() => setCopy(!composed)}>
                  {imageWords.withCopy}
                </Chip>
              )}
              {picture && view !== 'edit' && (
                <>
                  <IconButton icon={ZoomOut} className="max-sm:hidden" label={imageWords.zoomOut} disabled={zoom <= 1} onClick={() => setZoom(Math.max(1, zoom / 1.5))} />
                  <IconButton icon={ZoomIn} className="max-sm:hidden" label={imageWords.zoomIn} disabled={zoom >= ZOOM_MOST} onClick={() => setZoom(Math.min(ZOOM_MOST, zoom * 1.5))} />
                </>
              )}
              <IconButton icon={ChevronLeft} label={imageWords.previous} disabled={at <= 0} onClick={() => go(-1)} />
              <IconButton icon={ChevronRight} label={imageWords.next} disabled={at < 0 || at >= all.length - 1} onClick={() => go(1)} />
            </div>
          </div>
          {view === 'edit' ? (
            <div ref={setGround} className="flex min-h-0 flex-1 flex-col" />
          ) : (
            <div className="grid min-h-0 flex-1 place-items-center overflow-auto p-4" style={{ containerType: 'size' }} tabIndex={zoom > 1 ? 0 : -1} aria-label={imageWords.title} role="region">
              {picture && data ? (
                <Full
                  key={`${data.id} ${composed ? JSON.stringify(layout) : ''}`}
                  address={`/v1/generations/${data.id}/file${composed ? `?placement=${data.placement}&overlay=brand` : ''}`}
                  thumbnail={data.links.thumbnail}
                  alt={imageWords.alt(data, name)}
                  ratio={composed && placement ? placement.width / placement.height : picture.width / picture.height}
                  zoom={zoom}
                />
              ) : data ? (
                <NotMade image={data} batch={batch.data} />
              ) : (
                <div className="w-full max-w-lg">
                  <Skeleton ratio={1} />
                </div>
              )}
            </div>
          )}
        </div>
        <aside aria-label={imageWords.details} className="w-full shrink-0 bg-canvas px-5 py-4 lg:w-90 lg:overflow-y-auto lg:border-l">
          <div className="flex items-start justify-between gap-2 pb-3 [&>button]:-mt-1">
            <h1 id="title" tabIndex={-1} className="text-title font-semibold break-words">
              {data ? imageWords.heading(data) : imageWords.title}
            </h1>
            {data?.image && <IconButton icon={Heart} pressed={data.favourite} label={data.favourite ? imageWords.unfavour : imageWords.favour} onClick={() => void actions.favour([data.id], !data.favourite)} />}
          </div>
          {failure ? <Failed error={failure} retry={() => void save()} /> : null}
          {picture && !data.deleted_at && <Tabs label={imageWords.details} className={view === 'details' ? undefined : 'mb-4'} value={view} onChange={show} items={VIEWS.map((one) => ({ id: one, name: imageWords.views[one] }))} controls="panel" />}
          {data && picture && view !== 'details' && placements.data && (
            <div id="panel" role="tabpanel" aria-label={imageWords.views[view]}>
              {view === 'edit' ? <LayoutEditor key={data.id} image={data} placements={placements.data} kit={brand.data?.kit} ground={ground} /> : <MakeMore key={data.id} image={data} placements={placements.data} />}
            </div>
          )}
          {data && view === 'details' && (
            <div id="panel" role={picture && !data.deleted_at ? 'tabpanel' : undefined} aria-label={picture && !data.deleted_at ? imageWords.views.details : undefined}>
              {data.deleted_at && (
                <Section title={imageWords.inBin}>
                  <p className="text-muted">{galleryWords.binNote}</p>
                  <Button icon={Undo2} className="self-start" onClick={() => void actions.restore([data.id])}>
                    {galleryWords.restore}
                  </Button>
                </Section>
              )}
              {picture && placements.data && (
                <Section title={imageWords.download}>
                  <Downloads
                    image={data}
                    picture={picture}
                    placements={placements.data}
                    onAdapt={(placement) => {
                      void import('../screens/make-more').then(({ wishAdapt }) => wishAdapt(data.id, placement)).then(() => show('more'));
                    }}
                  />
                </Section>
              )}
              <Section title={imageWords.what}>
                <Facts
                  facts={[
                    [brandWords.one, brand.data?.kit?.name ?? '–'],
                    [galleryWords.placement, name],
                    [imageWords.date, words.dateTime(data.requested_at)],
                    [creditsWords.title, creditsWords.count(data.credits)],
                    ...(data.campaign ? ([[createWords.campaign, data.campaign]] as [string, ReactNode][]) : []),
                  ]}
                />
                <Link href={`/batch?id=${data.batch_id}`} className="text-accent underline-offset-2 hover:underline">
                  {batch.data ? imageWords.batchOf(batch.data.images) : batchWords.title}
                </Link>
              </Section>
              <Section title={imageWords.receipt}>{data.receipt ? <ReceiptView receipt={data.receipt} rules={rules} /> : <p className="text-muted">{receiptWords.none}</p>}</Section>
              {placements.data && (picture || data.lineage.source) && (
                <Section title={imageWords.lineage}>
                  <Lineage image={data} placements={placements.data} />
                </Section>
              )}
              {batch.data?.brief && (
                <Section title={imageWords.asked}>
                  <Facts facts={briefFacts(batch.data.brief as Record<string, unknown>)} />
                </Section>
              )}
              {picture && (
                <Section title={imageWords.rating}>
                  <div className="flex gap-2">
                    <Chip on={data.rating === 'up'} onClick={() => void actions.rating(data.id, data.rating === 'up' ? 'none' : 'up')}>
                      <ThumbsUp size={14} aria-hidden /> {imageWords.good}
                    </Chip>
                    <Chip
                      on={data.rating === 'down'}
                      onClick={() => {
                        void actions.rating(data.id, data.rating === 'down' ? 'none' : 'down');
                        setReason(data.rating === 'down' ? undefined : (data.rating_reason ?? ''));
                      }}
                    >
                      <ThumbsDown size={14} aria-hidden /> {imageWords.notGood}
                    </Chip>
                  </div>
                  {(reason !== undefined || (data.rating === 'down' && data.rating_reason)) && (
                    <form
                      onSubmit={(event) => {
                        event.preventDefault();
                        void actions.rating(data.id, 'down', reason ?? '');
                      }}
                      className="flex flex-col gap-2"
                    >
                      <Field label={imageWords.reason} optional most={500} length={(reason ?? '').length}>
                        {(props) => <TextArea {...props} maxLength={500} value={reason ?? data.rating_reason ?? ''} onChange={(event) => setReason(event.target.value)} />}
                      </Field>
                      <Button type="submit" className="self-start">
                        {words.save}
                      </Button>
                    </form>
                  )}
                  {data.tags.length > 0 && <p className={classes('text-muted')}>{data.tags.join(', ')}</p>}
                </Section>
              )}
              {picture && !data.deleted_at && (
                <div className="border-t py-4">
                  <Button icon={Trash2} kind="quiet" onClick={() => void actions.bin([data.id])}>
                    {galleryWords.toBin}
                  </Button>
                </div>
              )}
            </div>
          )}
        </aside>
      </div>
    </Frame>
  );
}

function briefFacts(brief: Record<string, unknown>): [string, ReactNode][] {
  return Object.entries(createWords.fields).flatMap(([field, { label }]) => {
    const value = brief[field];
    return typeof value === 'string' && value ? [[label, value] as [string, ReactNode]] : [];
  });
}

/** The picture itself, as large as fits, over its thumbnail until it has come. */
function Full({ address: file, thumbnail, alt, ratio, zoom }: { address: string; thumbnail?: string | null; alt: string; ratio: number; zoom: number }) {
  const [source, setSource] = useState<string>();
  const [failure, setFailure] = useState<unknown>();
  useEffect(() => {
    const stopped = new AbortController();
    let address: string | undefined;
    void (async () => {
      const answer = await authorized(file, { signal: stopped.signal });
      address = URL.createObjectURL(await answer.blob());
      if (!stopped.signal.aborted) setSource(address);
    })().catch((error) => !stopped.signal.aborted && setFailure(error)); // the thumbnail stays
    return () => {
      stopped.abort();
      if (address) URL.revokeObjectURL(address);
    };
  }, [file]);
  return (
    <div
      className="relative shrink-0 overflow-hidden rounded-image"
      style={{ aspectRatio: ratio, width: `calc(min(100cqw - 2rem, (100cqh - 2rem) * ${ratio}) * ${zoom})` }}
    >
      {thumbnail && <img src={thumbnail} alt={source ? '' : alt} className="absolute inset-0 h-full w-full object-cover" />}
      {source && <img src={source} alt={alt} className="reveal absolute inset-0 h-full w-full object-cover" />}
      {failure ? <p className="absolute inset-x-0 bottom-0 bg-raised px-3 py-2 text-caption">{imageWords.onlyThumbnail(words.errorOf(failure as ApiError).title)}</p> : null}
    </div>
  );
}
