// An image again: refined, varied or adapted, with its price before. Loaded with the image's
// panel alone.

import { useRouter } from 'next/router';
import { useRef, useState } from 'react';
import { keepPreviousData, useQuery, useQueryClient } from '@tanstack/react-query';
import { Minus, Plus } from 'lucide-react';
import client, { ApiError, dataOf, decided, newKey, type Schemas } from '../api/client';
import { say } from '../api/notices';
import { keys, refresh, useMe, useWorkflows } from '../api/queries';
import { fits } from '../fit';
import { keep, useKept } from '../kept';
import { Button, ButtonLink, classes, Field, IconButton, Notice, TextArea } from '../ui/basics';
import { Failed } from '../ui/failed';
import { Tabs } from '../ui/tabs';
import { words } from '../words';
import { makeMoreWords } from '../words/make-more';
import { Outline } from './placement-picker';

type Way = keyof typeof makeMoreWords.ways;

/** The most that feedback may have, characters (api/openapi.yaml, GenerationParams). */
const FEEDBACK_MOST = 2000;

/** Images of a refinement or a variation that one makes at once (count). */
const COUNT_MOST = 4;

/** What one is about to ask for, kept until it was. */
type Wish = { way: Way; feedback: string; factor: string; placements: string[]; count: number };
const EMPTY: Wish = { way: 'refine', feedback: '', factor: '', placements: [], count: 1 };

/** Keeps a wish to adapt an image to a placement, before its form is shown. */
export function wishAdapt(image: string, placement: string) {
  keep(`wish.${image}`, { ...EMPTY, way: 'adapt', placements: [placement] });
}

/** A choice of one, as a row with its words. */
function Choice({ name, type = 'radio', checked, onChange, title, note, mark }: { name: string; type?: 'radio' | 'checkbox'; checked: boolean; onChange: () => void; title: string; note?: string; mark?: React.ReactNode }) {
  return (
    <label className={classes('flex cursor-pointer items-center gap-3 rounded-control border px-3 py-2 has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-accent', checked ? 'border-accent bg-accent-soft' : 'hover:bg-sunken')}>
      <input type={type} name={name} checked={checked} onChange={onChange} className="sr-only" />
      {mark}
      <span className="min-w-0 flex-1">
        <span className={classes('block', checked && 'font-medium')}>{title}</span>
        {note && <span className="numbers block text-caption text-muted">{note}</span>}
      </span>
    </label>
  );
}

export default function MakeMore({ image, placements }: { image: Schemas['Generation']; placements: Schemas['Placement'][] }) {
  const router = useRouter();
  const queries = useQueryClient();
  const me = useMe();
  const workflows = useWorkflows();
  const name = `wish.${image.id}`;
  const wish: Wish = { ...EMPTY, ...useKept<Partial<Wish>>(name) };
  const [error, setError] = useState<string>();
  const [failure, setFailure] = useState<ApiError>();
  const [busy, setBusy] = useState(false);
  const attempt = useRef({ body: '', key: '' });
  const feedback = useRef<HTMLTextAreaElement>(null);

  const change = (part: Partial<Wish>) => {
    keep(name, { ...wish, ...part });
    setError(undefined);
    setFailure(undefined);
  };
  const setCount = (next: number) => {
    change({ count: next });
    say(makeMoreWords.countOf(next));
  };
  const workflow = workflows.data?.items.find((one) => one.name === wish.way);
  const factor = workflow?.factors.find((one) => one.name === wish.factor) ?? workflow?.factors[0];
  const others = placements.filter((one) => one.id !== image.placement);
  const chosen = others.filter((one) => wish.placements.includes(one.id));
  const tier = (image.tier === 'pro' ? 'pro' : 'standard') as Schemas['Tier'];
  const count = wish.way === 'adapt' ? chosen.length : wish.count;
  const body: Schemas['GenerationRequest'] = {
    workflow: wish.way,
    tier,
    params: { source_generation_id: image.id, ...(wish.way === 'refine' ? { feedback: wish.feedback.trim() } : {}), ...(wish.way === 'vary' ? { factor: factor?.name } : {}) },
    variants: wish.way === 'adapt' ? 1 : wish.count,
    ...(wish.way === 'adapt' ? { placements: chosen.map((one) => one.id) } : {}),
  };
  const complete = wish.way === 'refine' ? !!wish.feedback.trim() : wish.way === 'vary' ? !!factor : chosen.length > 0;
  // What is asked for has a price whatever its words are: they are no part of the key.
  const quote = useQuery({
    queryKey: ['quote', image.id, wish.way, tier, factor?.name, count, body.placements, complete],
    queryFn: ({ signal }) => dataOf(client.POST('/v1/quotes', { body, signal })),
    enabled: complete,
    placeholderData: keepPreviousData,
    retry: false,
  });
  const each = workflow?.prices[tier];
  const known = complete && quote.data && quote.data.images === count ? quote.data : undefined;
  const cost = known?.credits ?? (each === undefined ? undefined : each * count);
  const available = me.data?.credits.available ?? known?.available;
  const short = cost !== undefined && available !== undefined && cost > available;
  const free = known ? known.free_exports : [];

  const submit = async () => {
    if (busy || cost === undefined || short) return;
    if (!complete) {
      const missing = wish.way === 'refine' ? makeMoreWords.feedbackMissing : makeMoreWords.placementMissing;
      setError(missing);
      say(missing);
      feedback.current?.focus();
      return;
    }
    const request = { ...body, max_credits: cost };
    // The same request again is a retry, with the same key: it is made once.
    const text = JSON.stringify(request);
    if (attempt.current.body !== text) attempt.current = { body: text, key: newKey() };
    setBusy(true);
    setFailure(undefined);
    try {
      const { data, outcome } = await decided(client.POST('/v1/generations', { body: request, params: { header: { 'Idempotency-Key': attempt.current.key } } }));
      keep(name, undefined);
      void refresh(queries, keys.me, keys.credits, keys.generations, keys.generation, keys.batches);
      say(makeMoreWords.made(count));
      await router.push(`/batch?id=${data?.batch_id ?? outcome?.batch_id}`);
    } catch (refused) {
      if (!(refused instanceof ApiError)) throw refused;
      if (!refused.passing) attempt.current = { body: '', key: '' };
      if (refused.code === 'price_changed' || refused.code === 'insufficient_credits') await refresh(queries, ['workflows'], ['quote'], keys.me);
      const field = refused.problem.errors?.find(({ pointer }) => pointer.startsWith('/params/feedback'));
      if (field) {
        setError(field.detail);
        feedback.current?.focus();
      } else setFailure(refused);
    } finally {
      setBusy(false);
    }
  };

  return (
    <form
      noValidate
      className="flex flex-col gap-5"
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
      onKeyDown={(event) => {
        if ((event.metaKey || event.ctrlKey) && event.key === 'Enter') void submit();
      }}
    >
      <div className="flex flex-col gap-2">
        <Tabs label={makeMoreWords.title} value={wish.way} onChange={(way) => change({ way })} items={(Object.keys(makeMoreWords.ways) as Way[]).map((id) => ({ id, name: makeMoreWords.ways[id] }))} controls="way" />
        <p className="text-muted">{makeMoreWords.hints[wish.way]}</p>
      </div>
      <div id="way" role="tabpanel" aria-label={makeMoreWords.ways[wish.way]} className="flex flex-col gap-5">
        {wish.way === 'refine' && (
          <Field label={makeMoreWords.feedback} hint={makeMoreWords.feedbackHint} error={error} most={FEEDBACK_MOST} length={wish.feedback.length}>
            {(props) => <TextArea {...props} ref={feedback} rows={4} maxLength={FEEDBACK_MOST} placeholder={makeMoreWords.feedbackExample} value={wish.feedback} onChange={(event) => change({ feedback: event.target.value })} />}
          </Field>
        )}
        {wish.way === 'vary' && (
          <fieldset className="flex flex-col gap-1.5">
            <legend className="mb-1.5 font-medium">{makeMoreWords.factor}</legend>
            {workflow?.factors.map((one) => <Choice key={one.name} name="factor" checked={one.name === factor?.name} onChange={() => change({ factor: one.name })} title={one.title} note={one.description} />)}
          </fieldset>
        )}
        {wish.way === 'adapt' && (
          <fieldset className="flex flex-col gap-1.5" aria-describedby={error && 'adapt-error'}>
            <legend className="mb-1.5 font-medium">{makeMoreWords.placements}</legend>
            {others.map((one) => {
              const on = wish.placements.includes(one.id);
              return (
                <Choice
                  key={one.id}
                  name="adapt"
                  type="checkbox"
                  checked={on}
                  onChange={() => change({ placements: others.filter((other) => (other.id === one.id ? !on : wish.placements.includes(other.id))).map((other) => other.id) })}
                  mark={<Outline ratio={one.width / one.height} size={22} on={on} />}
                  title={`${words.platforms[one.platform] ?? one.platform} · ${one.name}`}
                  note={[words.pixels(one.width, one.height), ...(image.image && fits(image.image, one) ? [makeMoreWords.free] : [])].join(' · ')}
                />
              );
            })}
            {error && (
              <p id="adapt-error" className="text-caption text-bad">
                {error}
              </p>
            )}
          </fieldset>
        )}
        {wish.way !== 'adapt' && (
          <div role="group" aria-label={makeMoreWords.count} className="flex items-center justify-between gap-1">
            <span className="font-medium">{makeMoreWords.count}</span>
            <span className="flex items-center gap-1">
              <IconButton icon={Minus} label={makeMoreWords.fewer} disabled={wish.count <= 1} onClick={() => setCount(wish.count - 1)} />
              <span className="numbers w-6 text-center font-semibold">{wish.count}</span>
              <IconButton icon={Plus} label={makeMoreWords.more} disabled={wish.count >= COUNT_MOST} onClick={() => setCount(wish.count + 1)} />
            </span>
          </div>
        )}
      </div>
      {free.length > 0 && <Notice title={makeMoreWords.freeChosen(placements.filter((one) => free.includes(one.id)).map((one) => one.name))} />}
      {failure && failure.status !== 401 && failure.code !== 'insufficient_credits' && <Failed error={failure} retry={() => void submit()} />}
      {quote.error && complete && !failure && <Failed error={quote.error} retry={() => void quote.refetch()} />}
      <div className="sticky bottom-0 -mx-5 flex flex-col gap-2 border-t bg-canvas px-5 py-3 max-sm:bottom-16 lg:-bottom-4">
        {short && <Notice kind="warn" title={makeMoreWords.short(cost - available, available)} action={<ButtonLink href="/credits#packs">{makeMoreWords.packs}</ButtonLink>} />}
        <p className={classes('numbers text-caption', short ? 'text-warn' : 'text-muted')}>{cost === undefined || available === undefined || count === 0 ? ' ' : makeMoreWords.price(count, cost, available)}</p>
        <Button type="submit" kind="primary" busy={busy} disabled={cost === undefined || short} className="w-full">
          {cost === undefined || count === 0 ? makeMoreWords.makeNothing : makeMoreWords.make(count, cost)}
        </Button>
      </div>
    </form>
  );
}
