import Link from 'next/link';
import { useRouter } from 'next/router';
import { useEffect, useState, type ReactNode } from 'react';
import { ArrowLeft, ChevronLeft, ChevronRight, Download, Heart, ThumbsDown, ThumbsUp, Trash2, Undo2, ZoomIn, ZoomOut } from 'lucide-react';
import { ApiError, authorized } from '../api/client';
import { useGenerations, type Filter } from '../api/lists';
import { useAsset, useBatch, useBrand, useGeneration, usePlacements } from '../api/queries';
import { download } from '../download';
import { useKeys } from '../keyboard';
import { useImageActions } from '../screens/image-actions';
import { ReceiptView } from '../screens/receipt';
import { Overlay, ratioOf } from '../ui/advert';
import { Button, ButtonLink, Chip, classes, Empty, Field, IconButton, Skeleton, TextArea } from '../ui/basics';
import { Failed } from '../ui/failed';
import { Frame } from '../ui/frame';
import { words } from '../words';
import { batchWords, failureWords } from '../words/batch';
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

/** Placements whose file can be cut from an image without losing more than a quarter of it. */
const LOSS_MOST = 0.25;

export default function ImagePage() {
  const router = useRouter();
  const id = typeof router.query.id === 'string' ? router.query.id : undefined;
  const image = useGeneration(id);
  const data = image.data;
  const batch = useBatch(data?.batch_id);
  const brand = useBrand(data?.brand_id);
  const logo = useAsset(brand.data?.kit?.logo_asset_id);
  const placements = usePlacements();
  const actions = useImageActions();
  const [zoom, setZoom] = useState(1);
  const [copy, setCopy] = useState(false);
  const [busy, setBusy] = useState('');
  const [failure, setFailure] = useState<{ error: unknown; placement?: string }>();
  const [reason, setReason] = useState<string>();

  // The neighbours are those of the gallery that one came from, by its filters.
  const { id: _, ...rest } = router.query;
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
    setReason(undefined);
    setFailure(undefined);
  }, [id]);
  useEffect(() => {
    if (at >= all.length - 3 && list.hasNextPage && !list.isFetchingNextPage) void list.fetchNextPage();
  }, [at, all.length, list]);

  const back = { pathname: '/gallery', query: rest as Record<string, string> };
  const save = async (placement?: string) => {
    if (!data) return;
    setBusy(placement ?? data.placement);
    setFailure(undefined);
    try {
      await download(data, placement);
    } catch (error) {
      setFailure({ error, placement });
    }
    setBusy('');
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
  const fits = (placements.data ?? []).filter((one) => {
    if (!picture) return false;
    const [a, b] = [picture.width / picture.height, ratioOf(one)];
    return 1 - Math.min(a / b, b / a) <= LOSS_MOST;
  });
  const name = placement?.name ?? data?.placement ?? '';
  if (image.error)
    return (
      <Frame title={imageWords.title}>
        {(image.error as ApiError).status === 404 ? (
          <Empty page title={imageWords.goneTitle} action={<ButtonLink kind="primary" href="/gallery">{words.nav.gallery}</ButtonLink>}>
            {imageWords.gone}
          </Empty>
        ) : (
          <Failed error={image.error} retry={() => void image.refetch()} />
        )}
      </Frame>
    );
  return (
    <Frame title={data ? imageWords.heading(data) : imageWords.title} flush>
      <div className="flex max-lg:flex-col lg:h-dvh">
        <div className="relative flex min-w-0 flex-col bg-sunken max-lg:h-[70dvh] max-lg:shrink-0 lg:flex-1">
          <div className="flex items-center justify-between gap-2 p-2">
            <Link href={back} className="inline-flex h-9 items-center gap-2 rounded-control px-3 hover:bg-canvas">
              <ArrowLeft size={16} aria-hidden />
              {words.nav.gallery}
            </Link>
            <div className="flex items-center gap-1">
              {(data?.headline || data?.call_to_action) && placement && (
                <Chip on={copy} onClick={() => setCopy(!copy)}>
                  {imageWords.withCopy}
                </Chip>
              )}
              <IconButton icon={ZoomOut} className="max-sm:hidden" label={imageWords.zoomOut} disabled={zoom <= 1} onClick={() => setZoom(Math.max(1, zoom / 1.5))} />
              <IconButton icon={ZoomIn} className="max-sm:hidden" label={imageWords.zoomIn} disabled={zoom >= ZOOM_MOST} onClick={() => setZoom(Math.min(ZOOM_MOST, zoom * 1.5))} />
              <IconButton icon={ChevronLeft} label={imageWords.previous} disabled={at <= 0} onClick={() => go(-1)} />
              <IconButton icon={ChevronRight} label={imageWords.next} disabled={at < 0 || at >= all.length - 1} onClick={() => go(1)} />
            </div>
          </div>
          <div className="grid min-h-0 flex-1 place-items-center overflow-auto p-4" style={{ containerType: "size" }} tabIndex={zoom > 1 ? 0 : -1} aria-label={imageWords.title} role="region">
            {picture && data ? (
              <Full key={data.id} id={data.id} thumbnail={data.links.thumbnail} alt={imageWords.alt(data, name)} width={picture.width} height={picture.height} zoom={zoom}>
                {copy && placement && <Overlay placement={placement} kit={brand.data?.kit} headline={data.headline ?? undefined} callToAction={data.call_to_action ?? undefined} logo={logo.data?.links.file} />}
              </Full>
            ) : (
              <div className="w-full max-w-lg">{data ? <p className="text-center text-muted">{data.failure ? failureWords(data.failure) : data.waiting}</p> : <Skeleton ratio={1} />}</div>
            )}
          </div>
        </div>
        <aside aria-label={imageWords.details} className="w-full shrink-0 overflow-y-auto bg-canvas px-5 lg:border-l py-4 lg:w-90">
          <div className="flex items-start justify-between gap-2 pb-3 [&>button]:-mt-1">
            <h1 id="title" tabIndex={-1} className="text-title font-semibold break-words">
              {data ? imageWords.heading(data) : imageWords.title}
            </h1>
            {data?.image && <IconButton icon={Heart} pressed={data.favourite} label={data.favourite ? imageWords.unfavour : imageWords.favour} onClick={() => void actions.favour([data.id], !data.favourite)} />}
          </div>
          {failure && <Failed error={failure.error} retry={() => void save(failure.placement)} />}
          {data && (
            <>
              {data.deleted_at && (
                <Section title={imageWords.inBin}>
                  <p className="text-muted">{galleryWords.binNote}</p>
                  <Button icon={Undo2} className="self-start" onClick={() => void actions.restore([data.id])}>
                    {galleryWords.restore}
                  </Button>
                </Section>
              )}
              {picture && (
                <Section title={imageWords.download}>
                  <ul className="flex flex-col gap-1.5">
                    {fits.map((one) => (
                      <li key={one.id}>
                        <Button className="w-full justify-between!" kind={one.id === data.placement ? 'primary' : 'plain'} busy={busy === one.id} onClick={() => void save(one.id)}>
                          <span className="flex min-w-0 items-center gap-2">
                            <Download size={16} aria-hidden className="shrink-0" />
                            <span className="truncate">{`${words.platforms[one.platform] ?? one.platform} · ${one.name}`}</span>
                          </span>
                          <span className="numbers text-caption opacity-80">{words.pixels(one.width, one.height)}</span>
                        </Button>
                      </li>
                    ))}
                  </ul>
                  <p className="text-caption text-muted">{imageWords.original(picture.width, picture.height, picture.bytes)}</p>
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
              <Section title={imageWords.receipt}>{data.receipt ? <ReceiptView receipt={data.receipt} /> : <p className="text-muted">{receiptWords.none}</p>}</Section>
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
            </>
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
function Full({ id, thumbnail, alt, width, height, zoom, children }: { id: string; thumbnail?: string | null; alt: string; width: number; height: number; zoom: number; children: ReactNode }) {
  const [source, setSource] = useState<string>();
  const [failure, setFailure] = useState<unknown>();
  useEffect(() => {
    const stopped = new AbortController();
    let address: string | undefined;
    void (async () => {
      const answer = await authorized(`/v1/generations/${id}/file`, { signal: stopped.signal });
      address = URL.createObjectURL(await answer.blob());
      if (!stopped.signal.aborted) setSource(address);
    })().catch((error) => !stopped.signal.aborted && setFailure(error)); // the thumbnail stays
    return () => {
      stopped.abort();
      if (address) URL.revokeObjectURL(address);
    };
  }, [id]);
  return (
    <div
      className="relative shrink-0 overflow-hidden rounded-image"
      style={{ aspectRatio: width / height, width: `calc(min(100cqw - 2rem, (100cqh - 2rem) * ${width / height}) * ${zoom})` }}
    >
      {thumbnail && <img src={thumbnail} alt={source ? '' : alt} className="absolute inset-0 h-full w-full object-cover" />}
      {source && <img src={source} alt={alt} className="reveal absolute inset-0 h-full w-full object-cover" />}
      {children}
      {failure ? <p className="absolute inset-x-0 bottom-0 bg-raised px-3 py-2 text-caption">{imageWords.onlyThumbnail(words.errorOf(failure as ApiError).title)}</p> : null}
    </div>
  );
}
