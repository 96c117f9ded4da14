import { useRouter } from 'next/router';
import { lazy, memo, Suspense, useDeferredValue, useEffect, useMemo, useRef, useState } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { Minus, Plus, Sparkles } from 'lucide-react';
import client, { ApiError, decided, newKey, type Schemas } from '../api/client';
import { say } from '../api/notices';
import { keys, refresh, useBrands, useMe, usePlacements, useWorkflows, type Brand } from '../api/queries';
import { useCurrentBrand } from '../current-brand';
import { toRequest, useDraft, type Draft } from '../draft';
import { BriefForm, draftErrors, type Errors } from '../screens/brief-form';
import { PlacementPicker } from '../screens/placement-picker';
import { Button, ButtonLink, Chip, classes, Empty, IconButton, Notice, PageHead, Skeleton } from '../ui/basics';
import { Failed } from '../ui/failed';
import { Frame } from '../ui/frame';
import { words } from '../words';
import { createWords } from '../words/create';

/** Height of a preview's row, pixels. */
const ROW = 260;

/** Without them where they cannot be loaded: what was typed is worth more. */
const loadPreviews = () => import('../screens/previews').catch(() => ({ default: () => <></> }));
const Previews = lazy(loadPreviews);

function Variants({ value, most, onChange }: { value: number; most: number; onChange: (value: number) => void }) {
  const set = (next: number) => {
    onChange(next);
    say(createWords.variantsOf(next));
  };
  return (
    <div role="group" aria-label={createWords.variants} className="flex items-center gap-1">
      <span className="mr-2 font-medium">{createWords.variants}</span>
      <IconButton icon={Minus} label={createWords.fewer} disabled={value <= 1} onClick={() => set(value - 1)} />
      <span className="numbers w-8 text-center text-lead font-semibold">{value}</span>
      <IconButton icon={Plus} label={createWords.more} disabled={value >= most} onClick={() => set(value + 1)} />
    </div>
  );
}

/** Takes variants, then placements away until it can be paid. */
function fitted(draft: Draft, images: number): Pick<Draft, 'variants' | 'placements'> {
  if (images >= draft.placements.length) return { variants: Math.floor(images / draft.placements.length), placements: draft.placements };
  return { variants: 1, placements: draft.placements.slice(0, images) };
}

const Form = memo(function Form({ brand, placements }: { brand: Brand; placements: Schemas['Placement'][] }) {
  const router = useRouter();
  const queries = useQueryClient();
  const me = useMe();
  const workflows = useWorkflows();
  const [draft, change, clear] = useDraft(brand.id);
  const [zones, setZones] = useState(false);
  const [errors, setErrors] = useState<Errors>({});
  const [failure, setFailure] = useState<ApiError>();
  const [busy, setBusy] = useState(false);
  const attempt = useRef({ body: '', key: '' });

  // The sample's own brief, for who wants to see first what this is.
  const ofSample = brand.kit?.name === createWords.sampleBrand;
  const sample = router.query.sample === '1' && ofSample;
  useEffect(() => {
    if (sample && !draft.product) change(createWords.sample);
  }, [sample]); // eslint-disable-line react-hooks/exhaustive-deps

  const images = draft.placements.length * draft.variants;
  const prices = workflows.data?.items.find((workflow) => workflow.name === 'create')?.prices;
  const each = prices?.[draft.tier];
  const cost = each === undefined ? undefined : each * images;
  const available = me.data?.credits.available;
  const most = Math.max(1, Math.floor((me.data?.limits.images_per_batch ?? 48) / Math.max(1, draft.placements.length)));
  const short = cost !== undefined && available !== undefined && cost > available;
  const affordable = each && available !== undefined ? Math.floor(available / each) : 0;
  const fit = affordable > 0 ? fitted(draft, affordable) : undefined;

  const edit = (part: Partial<Draft>) => {
    change(part);
    setFailure(undefined);
    setErrors((old) => {
      const left = { ...old };
      for (const field of Object.keys(part)) {
        delete left[`/brief/${field}`];
        delete left[`/${field}`];
      }
      return left;
    });
  };

  const point = (found: Errors) => {
    setErrors(found);
    const first = Object.keys(found)[0];
    const target = first === '/placements' ? 'placements' : first?.replace('/brief/', 'brief-');
    if (!target) return;
    requestAnimationFrame(() => {
      const control = document.getElementById(target);
      control?.closest('details')?.setAttribute('open', '');
      control?.focus();
      control?.scrollIntoView({ block: 'center' });
    });
    say(Object.values(found)[0] ?? '');
  };

  const submit = async () => {
    if (busy || cost === undefined) return;
    const found = draftErrors(draft, brand.kit);
    if (Object.keys(found).length) return point(found);
    if (short) return;
    const body = { ...toRequest(draft, brand.id), max_credits: cost };
    // The same request again is a retry, with the same key: it is made once.
    const text = JSON.stringify(body);
    if (attempt.current.body !== text) attempt.current = { body: text, key: newKey() };
    setBusy(true);
    setFailure(undefined);
    try {
      const { data, outcome } = await decided(client.POST('/v1/generations', { body, params: { header: { 'Idempotency-Key': attempt.current.key } } }));
      attempt.current = { body: '', key: '' };
      void refresh(queries, keys.me, keys.credits, keys.generations, keys.batches);
      await router.push(`/batch?id=${data?.batch_id ?? outcome?.batch_id}`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!error.passing) attempt.current = { body: '', key: '' };
      const fields = error.problem.errors;
      if (fields?.length) point(Object.fromEntries(fields.map(({ pointer, detail }) => [pointer, detail])));
      // The new figures first: the message speaks of them.
      if (error.code === 'price_changed' || error.code === 'insufficient_credits') await refresh(queries, ['workflows'], keys.me);
      setFailure(error);
    } finally {
      setBusy(false);
    }
  };

  const latest = useRef(submit);
  latest.current = submit;
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if ((event.metaKey || event.ctrlKey) && event.key === 'Enter') void latest.current();
    };
    window.addEventListener('keydown', pressed);
    return () => window.removeEventListener('keydown', pressed);
  }, []);

  // What one reads first is there first: all at once holds a phone up for a tenth of a second.
  const whole = useDeferredValue(true, false);
  const shown = useMemo(() => placements.filter((placement) => draft.placements.includes(placement.id)), [placements, draft.placements]);
  return (
    <form
      noValidate
      className="flex min-h-full flex-col"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      <div className="grid flex-1 grid-cols-[minmax(0,1fr)] gap-x-12 gap-y-8 px-4 py-6 sm:px-8 sm:py-8 lg:grid-cols-[minmax(0,30rem)_minmax(0,1fr)] xl:grid-cols-[minmax(0,36rem)_minmax(0,1fr)]">
        <div className="flex max-w-160 flex-col gap-8">
          <PageHead title={createWords.title} note={createWords.forBrand(brand.kit?.name ?? '')}>
            {(draft.product || draft.headline) && (
              <Button
                kind="quiet"
                onClick={() => {
                  clear();
                  setErrors({});
                }}
              >
                {createWords.clear}
              </Button>
            )}
            {!draft.product && ofSample && (
              <Button icon={Sparkles} onClick={() => edit(createWords.sample)}>
                {createWords.trySample}
              </Button>
            )}
          </PageHead>
          <BriefForm draft={draft} change={edit} errors={errors} kit={brand.kit} />
          {whole && (
            <>
              <PlacementPicker placements={placements} chosen={draft.placements} onChange={(ids) => edit({ placements: ids, variants: Math.min(draft.variants, Math.max(1, Math.floor(48 / Math.max(1, ids.length)))) })} error={errors['/placements']} />
              <div className="flex flex-wrap items-center gap-x-8 gap-y-4">
                <Variants value={draft.variants} most={most} onChange={(variants) => edit({ variants })} />
                <div role="group" aria-label={createWords.tier} className="flex gap-2">
                  {(['standard', 'pro'] as const).map((tier) => (
                    <Chip key={tier} on={draft.tier === tier} onClick={() => edit({ tier })}>
                      {createWords.tiers[tier]}
                      {prices?.[tier] !== undefined && <span className="text-muted">{createWords.perImage(prices[tier])}</span>}
                    </Chip>
                  ))}
                </div>
              </div>
            </>
          )}
        </div>
        <aside aria-label={createWords.previews} className="flex flex-col gap-4 lg:sticky lg:top-8 lg:self-start">
          <div className="flex items-center justify-between">
            <h2 className="text-title font-semibold">{createWords.previews}</h2>
            <Chip on={zones} onClick={() => setZones(!zones)}>
              {createWords.zones}
            </Chip>
          </div>
          {whole && (
            <Suspense>
              <Previews placements={shown} draft={draft} brand={brand} zones={zones} />
            </Suspense>
          )}
          {shown.length === 0 && <p className="text-muted">{createWords.placementMissing}</p>}
        </aside>
      </div>
      <div className="sticky bottom-0 z-10 flex flex-col gap-3 border-t bg-canvas px-4 py-3 max-sm:bottom-16 sm:px-8">
        {short && (
          <Notice
            kind="warn"
            title={createWords.short(cost - available, available)}
            action={
              <span className="flex flex-wrap gap-2">
                {fit && <Button onClick={() => edit(fit)}>{createWords.fit(fit.variants * fit.placements.length)}</Button>}
                <ButtonLink href="/credits#packs">{createWords.packs}</ButtonLink>
              </span>
            }
          >
            {createWords.draftKept}
          </Notice>
        )}
        {failure && failure.status !== 401 && failure.code !== 'insufficient_credits' && !failure.problem.errors?.length && <Failed error={failure} retry={() => void submit()} />}
        <div className="flex flex-wrap items-center justify-between gap-x-6 gap-y-2">
          <p className={classes('numbers', short ? 'text-warn' : 'text-muted')}>{cost === undefined || available === undefined ? ' ' : createWords.price(images, cost, available)}</p>
          <Button type="submit" kind="primary" busy={busy} disabled={cost === undefined || short || images === 0} className="max-sm:w-full">
            {cost === undefined || images === 0 ? createWords.makeNothing : createWords.make(images, cost)}
            <kbd className="text-caption opacity-70 max-lg:hidden">⌘↵</kbd>
          </Button>
        </div>
      </div>
    </form>
  );
});

export default function Create() {
  // They are fetched while the brand is asked for.
  useEffect(() => void loadPreviews(), []);
  const { brand, brands } = useCurrentBrand();
  const needed = [useBrands(), usePlacements(), useWorkflows(), useMe()] as const;
  const placements = needed[1];
  const error = needed.find((one) => one.error && !one.data)?.error;
  // The form is drawn in slices too, as the screen is.
  const ready = useDeferredValue(!!brand && !!placements.data);
  return (
    <Frame title={createWords.title} flush>
      {error ? (
        <div className="p-8">
          <Failed error={error} retry={() => needed.forEach((one) => one.error && void one.refetch())} />
        </div>
      ) : brands && brands.length === 0 ? (
        <Empty page title={words.noBrand.title} action={<ButtonLink kind="primary" href="/brand">{words.noBrand.action}</ButtonLink>}>
          {words.noBrand.text}
        </Empty>
      ) : ready && brand && placements.data ? (
        <Form key={brand.id} brand={brand} placements={placements.data} />
      ) : (
        <div className="grid grid-cols-[minmax(0,1fr)] gap-8 p-8 max-sm:p-4 lg:grid-cols-[30rem_1fr]" aria-busy>
          <div className="flex flex-col gap-5">
            <Skeleton className="h-9 w-48" />
            {[72, 36, 36, 200].map((height, at) => (
              <div key={at} style={{ height }}>
                <Skeleton className="h-full" />
              </div>
            ))}
          </div>
          <div className="flex flex-wrap gap-4">
            {[1, 0.5625, 1.91, 0.8].map((ratio) => (
              <div key={ratio} style={{ width: ROW * ratio }}>
                <Skeleton ratio={ratio} />
              </div>
            ))}
          </div>
        </div>
      )}
    </Frame>
  );
}
