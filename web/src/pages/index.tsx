import Link from 'next/link';
import { ArrowRight, Sparkles } from 'lucide-react';
import type { Schemas } from '../api/client';
import { useGenerations } from '../api/lists';
import { useAsset, useBatches, useCredits, useMe, usePlacements, type Brand } from '../api/queries';
import { useCurrentBrand } from '../current-brand';
import { EMPTY } from '../draft';
import { Overlay, Picture, ratioOf, SampleScene } from '../ui/advert';
import { ButtonLink, Empty, Notice, PageHead, Skeleton } from '../ui/basics';
import { Failed } from '../ui/failed';
import { Frame } from '../ui/frame';
import { words } from '../words';
import { batchWords } from '../words/batch';
import { brandWords } from '../words/brand';
import { createWords } from '../words/create';
import { creditsWords } from '../words/credits';
import { homeWords } from '../words/home';
import { imageWords } from '../words/image';

/** Images and batches that the first page shows (count). */
const NEWEST = 24;
const BATCHES = 6;

function Running() {
  const batches = useBatches(true, BATCHES);
  if (!batches.data?.length) return null;
  return (
    <section className="flex flex-col gap-3">
      <h2 className="text-title font-semibold">{homeWords.running}</h2>
      <ul className="flex flex-col divide-y border-y">
        {batches.data.map((batch) => {
          const ended = batch.images - batch.counts.open;
          return (
            <li key={batch.id}>
              <Link href={`/batch?id=${batch.id}`} className="flex min-h-12 flex-wrap items-center gap-x-6 gap-y-1 py-2 hover:bg-sunken">
                <span className="min-w-0 flex-1 truncate font-medium">{batchWords.asked(batch)}</span>
                <span aria-hidden className="h-1.5 w-40 overflow-hidden rounded-full bg-sunken">
                  <span className="block h-full bg-accent transition-[width] duration-200" style={{ width: `${(100 * ended) / batch.images}%` }} />
                </span>
                <span className="numbers w-20 text-right text-muted">{batchWords.of(ended, batch.images)}</span>
                <ArrowRight size={16} aria-hidden className="text-muted" />
              </Link>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** What a new person sees: the sample brand's adverts as they will be, and the one way on. */
function FirstRun({ brand, placements }: { brand: Brand | undefined; placements: Schemas['Placement'][] | undefined }) {
  const logo = useAsset(brand?.kit?.logo_asset_id);
  return (
    <>
      <div className="flex flex-col items-start gap-3">
        <h2 className="text-title font-semibold">{homeWords.firstTitle(brand?.kit?.name ?? brandWords.one)}</h2>
        <p className="max-w-[60ch] text-muted">{homeWords.firstText}</p>
        <div className="mt-1 flex flex-wrap gap-2">
          <ButtonLink kind="primary" icon={Sparkles} href="/create?sample=1">
            {homeWords.first}
          </ButtonLink>
          <ButtonLink href="/brand">{homeWords.ownBrand}</ButtonLink>
        </div>
      </div>
      <ul className="flex flex-wrap gap-2" aria-hidden>
        {EMPTY.placements.map((id) => {
          const placement = placements?.find((one) => one.id === id);
          if (!placement || !brand) return null;
          const ratio = ratioOf(placement);
          return (
            <li key={id} style={rowItem(ratio)}>
              <div className="relative overflow-hidden rounded-image" style={{ aspectRatio: ratio }}>
                <SampleScene kit={brand.kit} ratio={ratio} />
                <Overlay placement={placement} kit={brand.kit} headline={createWords.sample.headline} callToAction={createWords.sample.call_to_action} logo={logo.data?.links.file} />
              </div>
            </li>
          );
        })}
      </ul>
    </>
  );
}

/** Height of a row of adverts, pixels: the most, and the least at which one more still fits. */
const ROW = { most: 300, least: 200 };

/** An item of rows that fill the width: all of a row have one height, in their own ratios. */
function rowItem(ratio: number) {
  return { flex: `${ratio} 1 calc(min(${ROW.least}px, 32vw) * ${ratio})`, maxWidth: `min(100%, ${ROW.most * ratio}px)` };
}

/** Below this many credits a notice says so. */
const LOW = 4;

export default function Home() {
  const me = useMe();
  const credits = useCredits();
  const { brand, brands } = useCurrentBrand();
  const made = useGenerations({ status: 'succeeded' });
  const placements = usePlacements();
  const images = (made.data?.pages[0]?.items ?? []).filter((image) => !image.deleted_at);
  const next = credits.data?.blocks.filter((block) => block.remaining > 0 && block.expires_at).sort((a, b) => a.expires_at!.localeCompare(b.expires_at!))[0];
  const first = made.data && images.length === 0;
  return (
    <Frame title={words.nav.home}>
      <div className="flex flex-col gap-10">
        <PageHead
          title={first ? homeWords.welcome : homeWords.title}
          note={
            me.data && (
              <span className="numbers">
                {homeWords.left(me.data.credits.available, me.data.credits.held)}
                {next?.expires_at && ` · ${creditsWords.expire(next.remaining, next.expires_at)}`}
              </span>
            )
          }
        >
          <ButtonLink kind={first ? 'plain' : 'primary'} icon={Sparkles} href="/create">
            {words.nav.create}
          </ButtonLink>
        </PageHead>
        {made.error ? <Failed error={made.error} retry={() => void made.refetch()} /> : null}
        {me.data && me.data.credits.available < LOW && !first && (
          <Notice kind="warn" title={creditsWords.low(me.data.credits.available)} action={<ButtonLink href="/credits#packs">{creditsWords.seePacks}</ButtonLink>} />
        )}
        <Running />
        {first && (
          <div className="flex flex-col gap-8">
            {brands?.length === 0 ? (
              <Empty title={words.noBrand.title} action={<ButtonLink kind="primary" href="/brand">{words.noBrand.action}</ButtonLink>}>
                {words.noBrand.text}
              </Empty>
            ) : (
              <FirstRun brand={brand} placements={placements.data} />
            )}
          </div>
        )}
        {(images.length > 0 || made.isPending) && (
          <section className="flex flex-col gap-3">
            <div className="flex items-baseline justify-between">
              <h2 className="text-title font-semibold">{homeWords.made}</h2>
              <Link href="/gallery" className="inline-flex min-h-6 items-center gap-1 text-accent hover:underline">
                {homeWords.all} <ArrowRight size={14} aria-hidden />
              </Link>
            </div>
            <ul className="flex flex-wrap gap-2">
              {made.isPending
                ? [1, 0.56, 1.91, 0.8, 1].map((ratio, at) => (
                    <li key={at} style={{ width: 220 * ratio }}>
                      <Skeleton ratio={ratio} />
                    </li>
                  ))
                : images.slice(0, NEWEST).map((image) => {
                    const placement = placements.data?.find((one) => one.id === image.placement);
                    const ratio = placement ? ratioOf(placement) : 1;
                    return (
                      <li key={image.id} style={rowItem(ratio)}>
                        <Link href={`/image?id=${image.id}`} className="block overflow-hidden rounded-image">
                          <Picture src={image.links.thumbnail} alt={imageWords.alt(image, placement?.name ?? image.placement)} ratio={ratio} />
                        </Link>
                      </li>
                    );
                  })}
            </ul>
          </section>
        )}
      </div>
    </Frame>
  );
}
