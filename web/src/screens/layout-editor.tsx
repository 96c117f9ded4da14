// Headline, call to action and logo over an image, with a preview that the export's own code
// makes. The form stands in the panel, the preview on the picture's ground. Loaded with the
// image's panel alone.

import { useEffect, useRef, useState } from 'react';
import { createPortal } from 'react-dom';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { CircleX, RotateCcw } from 'lucide-react';
import client, { ApiError, authorized, dataOf, decided, newKey, type Schemas } from '../api/client';
import { say } from '../api/notices';
import { keys, refresh, type Kit } from '../api/queries';
import { inkOn, roleColour } from '../colour';
import { overlayIn } from '../fit';
import { keep, useKept } from '../kept';
import { ratioOf } from '../ui/advert';
import { Button, Chip, classes, Field, Input, Skeleton } from '../ui/basics';
import { Failed } from '../ui/failed';
import { Tabs } from '../ui/tabs';
import { words } from '../words';
import { editWords } from '../words/edit';

type Layout = Schemas['Layout'];
type Placement = Schemas['Placement'];

/** Milliseconds after the last change until it is previewed. */
const PAUSE = 250;

/** Width of a preview, pixels: the most that the api gives. */
const WIDTH = 720;

/** Bounds of the texts (api/openapi.yaml, Layout). */
const MOST = { headline: 90, call_to_action: 30 };

const POSITIONS = ['auto', 'top', 'bottom', 'left', 'right'] as const;

/** The same whatever the order of the fields. */
const canonical = (layout: Layout) => JSON.stringify(layout, (_, value: unknown) => (value && typeof value === 'object' && !Array.isArray(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value));

type Preview = { source?: string; of?: string; busy: boolean; failure?: ApiError };

/** The picture of a layout in a placement; the last one stays until the next is there. */
function usePreview(id: string, placement: string | undefined, layout: Layout | undefined): Preview & { again: () => void } {
  const [preview, setPreview] = useState<Preview>({ busy: true });
  const [turn, setTurn] = useState(0);
  const body = layout && canonical(layout);
  const first = useRef(true);
  const held = useRef<string>(undefined);
  useEffect(() => () => void (held.current && URL.revokeObjectURL(held.current)), []);
  const was = useRef(placement);
  useEffect(() => {
    if (!placement || body === undefined) return;
    const stopped = new AbortController();
    setPreview((old) => ({ ...old, busy: true }));
    // Only who types is waited for.
    const pause = first.current || was.current !== placement ? 0 : PAUSE;
    was.current = placement;
    const timer = setTimeout(() => {
      first.current = false;
      authorized(`/v1/generations/${id}/layout/preview?placement=${placement}&width=${WIDTH}`, { method: 'POST', body, headers: { 'Content-Type': 'application/json' }, signal: stopped.signal })
        .then(async (answer) => {
          const picture = await answer.blob();
          if (stopped.signal.aborted) return;
          const source = URL.createObjectURL(picture);
          // Decoded before it is shown, so that nothing flickers.
          const image = new Image();
          image.src = source;
          await image.decode().catch(() => undefined);
          if (stopped.signal.aborted) return URL.revokeObjectURL(source);
          const old = held.current;
          held.current = source;
          setPreview({ source, of: placement, busy: false });
          if (old) setTimeout(() => URL.revokeObjectURL(old), 1000);
        })
        .catch((error: unknown) => {
          if (!stopped.signal.aborted) setPreview((old) => ({ ...old, busy: false, failure: error as ApiError }));
        });
    }, pause);
    return () => {
      clearTimeout(timer);
      stopped.abort();
    };
  }, [id, placement, body, turn]);
  return { ...preview, again: () => setTurn((old) => old + 1) };
}

/** What is wrong with each field, by the first part of its pointer, with the placements by their names. */
function problemsOf(failure: ApiError | undefined, placements: Placement[]): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { pointer, detail } of failure?.problem.errors ?? []) {
    const field = pointer.split('/')[1] ?? '';
    const where = placements.find((one) => detail.startsWith(`${one.id}: `));
    const text = where ? `${where.name}: ${detail.slice(where.id.length + 2)}` : detail.charAt(0).toUpperCase() + detail.slice(1);
    found[field] ??= text.endsWith('.') ? text : `${text}.`;
  }
  return found;
}

function Wrong({ id, text }: { id: string; text?: string }) {
  if (!text) return null;
  return (
    <p id={id} className="mt-1 flex items-start gap-1 text-caption text-bad">
      <CircleX size={14} aria-hidden className="mt-px shrink-0" />
      {text}
    </p>
  );
}

function Swatches({ label, colours, value, onChange }: { label: string; colours: { name: string; hex: string }[]; value: string; onChange: (hex: string) => void }) {
  return (
    <div role="radiogroup" aria-label={label} className="flex items-center justify-between gap-3">
      <span className="shrink-0 text-muted">{label}</span>
      <span className="flex flex-wrap justify-end gap-1.5">
        {colours.map(({ name, hex }) => (
          <label key={hex} title={editWords.colour(name, hex)} className={classes('block size-7 shrink-0 cursor-pointer rounded-full border-2 p-0.5 has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-accent', hex === value ? 'border-accent' : 'border-transparent hover:border-edge')}>
            <input type="radio" name={label} className="sr-only" aria-label={editWords.colour(name, hex)} checked={hex === value} onChange={() => onChange(hex)} />
            <span className="block size-full rounded-full border border-edge" style={{ background: hex }} />
          </label>
        ))}
      </span>
    </div>
  );
}

export default function LayoutEditor({ image, placements, kit, ground }: { image: Schemas['Generation']; placements: Placement[]; kit: Kit | null | undefined; /** Where the preview stands. */ ground: HTMLElement | null }) {
  const queries = useQueryClient();
  const report = useQuery({
    queryKey: [...keys.generation, image.id, 'layout'],
    queryFn: () => dataOf(client.GET('/v1/generations/{generation_id}/layout', { params: { path: { generation_id: image.id } } })),
  });
  const name = `layout.${image.id}`;
  const draft = useKept<Layout>(name);
  const saved = report.data?.layout;
  const layout = draft ?? saved;
  const changed = !!draft && !!saved && canonical(draft) !== canonical(saved);
  const fitting = placements.filter((one) => report.data?.placements.some(({ placement, fits }) => fits && placement === one.id));
  const [tab, setTab] = useState<string>();
  const shown = fitting.find((one) => one.id === tab) ?? fitting.find((one) => one.id === image.placement) ?? fitting[0];
  const preview = usePreview(image.id, shown?.id, layout);
  const [failure, setFailure] = useState<ApiError>();
  const [busy, setBusy] = useState(false);
  const attempt = useRef({ body: '', key: '' });
  const refusal = [failure, preview.failure].find((one) => one?.problem.errors?.length);
  const problems = problemsOf(refusal, placements);
  const broken = preview.failure && !preview.failure.problem.errors?.length ? preview.failure : undefined;

  const told = Object.values(problems)[0];
  useEffect(() => {
    if (told) say(told);
  }, [told]);

  if (report.error) return <Failed error={report.error} retry={() => void report.refetch()} />;
  if (!layout || !saved)
    return (
      <div className="flex flex-col gap-4" aria-busy>
        {[36, 36, 36, 72].map((height, at) => (
          <div key={at} style={{ height }}>
            <Skeleton className="h-full" />
          </div>
        ))}
        {ground && createPortal(<Stage placements={[]} onTab={() => undefined} preview={preview} />, ground)}
      </div>
    );

  const change = (part: Partial<Layout>) => {
    const next = { ...layout, ...part };
    for (const field of Object.keys(next) as (keyof Layout)[]) if (next[field] === undefined) delete next[field];
    keep(name, canonical(next) === canonical(saved) ? undefined : next);
    setFailure(undefined);
  };
  const inPlacement = (id: string, part: Schemas['PlacementOverride']) => {
    const { position, overlay } = { ...layout.placements?.[id], ...part };
    const { [id]: _, ...others } = layout.placements ?? {};
    const own = { ...(overlay && { overlay }), ...(position && { position }) };
    change({ placements: Object.keys(own).length ? { ...others, [id]: own } : Object.keys(others).length ? others : undefined });
  };
  const everywhere = layout.position ?? 'auto';
  const own = shown && layout.placements?.[shown.id]?.position;
  const colours = [...new Map([...(kit?.colours ?? []).map(({ name, hex }) => ({ name: name ?? '', hex: hex.toLowerCase() })), { name: editWords.white, hex: '#ffffff' }, { name: editWords.dark, hex: '#111111' }].map((one) => [one.hex, one])).values()].filter(({ hex }) => !kit?.forbidden_colours?.some((one) => one.toLowerCase() === hex));
  const picked = () => {
    const back = (roleColour(kit, 'primary') ?? '#111111').toLowerCase();
    return { ground: back, text: inkOn(back) === '#fff' ? '#ffffff' : '#111111' };
  };

  const save = async () => {
    if (busy || !changed) return;
    const text = canonical(layout);
    if (attempt.current.body !== text) attempt.current = { body: text, key: newKey() };
    setBusy(true);
    setFailure(undefined);
    try {
      await decided(client.PUT('/v1/generations/{generation_id}/layout', { params: { path: { generation_id: image.id }, header: { 'Idempotency-Key': attempt.current.key } }, body: layout }));
      await refresh(queries, keys.generation, keys.generations);
      keep(name, undefined);
      say(editWords.savedSay);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setFailure(error);
      const field = error.problem.errors?.[0]?.pointer.split('/')[1];
      if (field) requestAnimationFrame(() => document.getElementById(`layout-${field}`)?.focus());
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
        void save();
      }}
    >
      <p className="text-muted">{editWords.free}</p>
      <Field name="layout-headline" label={editWords.headline} optional error={problems.headline} most={MOST.headline} length={layout.headline?.length}>
        {(props) => <Input {...props} maxLength={MOST.headline} value={layout.headline ?? ''} onChange={(event) => change({ headline: event.target.value })} />}
      </Field>
      <Field name="layout-call_to_action" label={editWords.callToAction} optional error={problems.call_to_action} most={MOST.call_to_action} length={layout.call_to_action?.length}>
        {(props) => <Input {...props} maxLength={MOST.call_to_action} value={layout.call_to_action ?? ''} onChange={(event) => change({ call_to_action: event.target.value })} />}
      </Field>
      <div>
        <div className="flex items-center justify-between gap-3">
          <span className="font-medium">{editWords.logo}</span>
          <Chip id="layout-logo" on={!!layout.logo} aria-describedby={problems.logo && 'layout-logo-error'} onClick={() => change({ logo: !layout.logo })}>
            {editWords.logoOn}
          </Chip>
        </div>
        <Wrong id="layout-logo-error" text={problems.logo} />
      </div>
      <div role="group" aria-labelledby="layout-position-label" aria-describedby="layout-position-hint">
        <div className="mb-1.5 flex items-center justify-between gap-3">
          <p id="layout-position-label" className="font-medium">
            {editWords.position}
          </p>
          {shown && fitting.length > 1 && (
            <Chip on={!!own} onClick={() => inPlacement(shown.id, { position: own ? undefined : everywhere })}>
              {editWords.onlyIn(shown.name)}
            </Chip>
          )}
        </div>
        <div className="flex flex-wrap gap-1.5">
          {POSITIONS.map((position, at) => (
            <Chip key={position} id={at ? undefined : 'layout-position'} on={(own ?? everywhere) === position} onClick={() => (own && shown ? inPlacement(shown.id, { position }) : change({ position }))}>
              {editWords.positions[position]}
            </Chip>
          ))}
        </div>
        <p id="layout-position-hint" className="mt-1 text-caption text-muted">
          {editWords.positionHint}
        </p>
        <Wrong id="layout-position-error" text={problems.position} />
      </div>
      <div role="group" aria-labelledby="layout-colours-label">
        <div className="flex items-center justify-between gap-3">
          <p id="layout-colours-label" className="font-medium">
            {editWords.colours}
          </p>
          <span className="flex gap-1.5">
            <Chip id="layout-colours" on={!layout.colours} onClick={() => change({ colours: undefined })}>
              {editWords.automatic}
            </Chip>
            <Chip on={!!layout.colours} onClick={() => change({ colours: layout.colours ?? picked() })}>
              {editWords.pick}
            </Chip>
          </span>
        </div>
        {layout.colours && (
          <div className="enter mt-2 flex flex-col gap-1.5">
            <Swatches label={editWords.text} colours={colours} value={layout.colours.text.toLowerCase()} onChange={(text) => change({ colours: { ...layout.colours!, text } })} />
            <Swatches label={editWords.ground} colours={colours} value={layout.colours.ground.toLowerCase()} onChange={(back) => change({ colours: { ...layout.colours!, ground: back } })} />
          </div>
        )}
        <Wrong id="layout-colours-error" text={problems.colours} />
      </div>
      <fieldset>
        <legend className="mb-1.5 font-medium">{editWords.where}</legend>
        <div className="flex flex-wrap gap-1.5">
          {fitting.map((one) => {
            const on = overlayIn(layout, one) === 'brand';
            return (
              <Chip key={one.id} on={on} onClick={() => inPlacement(one.id, { overlay: on ? 'none' : 'brand' })}>
                {words.platforms[one.platform] ?? one.platform} · {one.name}
              </Chip>
            );
          })}
        </div>
        {fitting.some((one) => one.platform === 'google') && <p className="mt-1 text-caption text-muted">{editWords.whereHint}</p>}
        <Wrong id="layout-placements-error" text={problems.placements ?? problems.overlay} />
      </fieldset>
      {failure && failure.status !== 401 && !failure.problem.errors?.length && <Failed error={failure} retry={() => void save()} />}
      <div className="sticky bottom-0 -mx-5 flex items-center gap-2 border-t bg-canvas px-5 py-3 max-sm:bottom-16 lg:-bottom-4">
        <Button type="submit" kind="primary" className="flex-1" busy={busy} disabled={!changed || Object.keys(problems).length > 0}>
          {changed || busy ? editWords.save : editWords.saved}
        </Button>
        <Button
          icon={RotateCcw}
          disabled={!changed}
          onClick={() => {
            keep(name, undefined);
            setFailure(undefined);
          }}
        >
          {editWords.discard}
        </Button>
      </div>
      {ground &&
        createPortal(
          <Stage placements={fitting} shown={shown} onTab={setTab} preview={preview} refused={Object.keys(problems).length > 0} broken={broken} clean={!!shown && overlayIn(layout, shown) === 'none'} onShow={() => shown && inPlacement(shown.id, { overlay: 'brand' })} />,
          ground,
        )}
    </form>
  );
}

/** The preview on its ground, as large as fits; placements as tabs above it. */
function Stage({ placements, shown, onTab, preview, refused, broken, clean, onShow }: { placements: Placement[]; shown?: Placement; onTab: (id: string) => void; preview: ReturnType<typeof usePreview>; refused?: boolean; broken?: ApiError; clean?: boolean; onShow?: () => void }) {
  const ratio = shown ? ratioOf(shown) : 1;
  const current = shown && preview.of === shown.id;
  return (
    <>
      <div className="flex min-h-9 justify-center px-4 max-sm:px-2">
        {placements.length > 1 && shown && <Tabs label={editWords.placements} natural className="max-w-full" value={shown.id} onChange={onTab} items={placements.map((one) => ({ id: one.id, name: one.name, note: `${words.platforms[one.platform] ?? one.platform}, ${words.pixels(one.width, one.height)}` }))} controls="preview" />}
      </div>
      <div id="preview" role={placements.length > 1 ? 'tabpanel' : 'group'} aria-label={editWords.preview} aria-busy={preview.busy} className="grid min-h-0 flex-1 place-items-center overflow-hidden p-4 max-sm:p-2" style={{ containerType: 'size' }}>
        <div className="relative overflow-hidden rounded-image bg-canvas" style={{ aspectRatio: ratio, width: `min(100cqw, 100cqh * ${ratio})` }}>
          {preview.source && (
            <img src={preview.source} alt={shown ? `${editWords.preview}, ${shown.name}` : editWords.preview} data-of={preview.of} className={classes('absolute inset-0 h-full w-full object-cover transition-opacity duration-120', !current && 'opacity-40', current && refused && 'opacity-60')} />
          )}
          {!preview.source && <Skeleton className="absolute inset-0" />}
          {preview.busy && preview.source && <span aria-hidden className="absolute inset-x-0 bottom-0 h-[3px] shimmer bg-accent" />}
        </div>
      </div>
      <div className="flex min-h-12 flex-wrap items-center justify-center gap-x-3 gap-y-1 px-4 pb-3 max-sm:min-h-9 max-sm:pb-1 text-center text-caption text-muted">
        {broken ? (
          <>
            <span>{words.errorOf(broken).title}.</span>
            <Button kind="quiet" onClick={preview.again}>
              {words.retry}
            </Button>
          </>
        ) : refused ? (
          <span className="flex items-center gap-1.5 text-bad">
            <CircleX size={14} aria-hidden />
            {preview.source ? editWords.last : editWords.none}
          </span>
        ) : clean && onShow ? (
          <>
            <span>{editWords.clean}</span>
            <Button kind="quiet" onClick={onShow}>
              {editWords.showHere}
            </Button>
          </>
        ) : (
          shown && <span>{editWords.same(words.pixels(shown.width, shown.height))}</span>
        )}
      </div>
    </>
  );
}
