// Many images as one ZIP: which placements, what fits and what does not, and how files are
// called. Loaded when it is opened.

import Link from 'next/link';
import { useRef, useState } from 'react';
import { Archive, Plus } from 'lucide-react';
import client, { ApiError, decided, newKey, type Schemas } from '../api/client';
import { say } from '../api/notices';
import { useBrands } from '../api/queries';
import { fits } from '../fit';
import { keep, useKept } from '../kept';
import { brokenNaming, exampleName, FIELDS, NAMING } from '../naming';
import { Button, Chip, classes, Field, Input, Notice } from '../ui/basics';
import { Dialog } from '../ui/dialog';
import { Failed } from '../ui/failed';
import { words } from '../words';
import { imageWords } from '../words/image';
import { zipWords } from '../words/zip';
import { Outline } from './placement-picker';

type Image = Schemas['GenerationSummary'];
type Placement = Schemas['Placement'];

/** Files of a ZIP, at most (api/openapi.yaml, CreateExport). */
const FILES_MOST = 100;

/** Pairs that do not fit and are named (count). */
const NAMED_MOST = 4;

/** Hands an address to the browser, which keeps what is there. */
function fetchFile(address: string) {
  const link = document.createElement('a');
  link.href = address;
  link.download = '';
  link.click();
}

function Counted({ placement, all, fitting, on, onChange }: { placement: Placement; all: number; fitting: number; on: boolean; onChange: () => void }) {
  return (
    <label className={classes('flex cursor-pointer items-center gap-3 rounded-control border px-3 py-1.5 has-focus-visible:outline-2 has-focus-visible:outline-offset-2 has-focus-visible:outline-accent', on ? 'border-accent bg-accent-soft' : 'hover:bg-sunken')}>
      <input type="checkbox" className="sr-only" checked={on} onChange={onChange} />
      <Outline ratio={placement.width / placement.height} size={20} on={on} />
      <span className="min-w-0 flex-1">
        <span className={classes('block truncate', on && 'font-medium')}>{placement.name}</span>
        <span className="numbers block text-caption text-muted">{words.pixels(placement.width, placement.height)}</span>
      </span>
      <span className={classes('numbers shrink-0 text-caption', on && fitting < all ? 'font-medium text-warn' : 'text-muted')}>{zipWords.fit(fitting, all)}</span>
    </label>
  );
}

export default function ZipDialog({ open, onClose, images, placements }: { open: boolean; onClose: () => void; images: Image[]; placements: Placement[] }) {
  const brands = useBrands();
  const [own, setOwn] = useState(true);
  const [ids, setIds] = useState<string[]>([]);
  const [clean, setClean] = useState(false);
  const naming = useKept<string>('naming') ?? NAMING;
  const field = useRef<HTMLInputElement>(null);
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<ApiError>();
  const attempt = useRef({ body: '', key: '' });

  const whole = images.filter((image) => image.image);
  const pairs = placements.flatMap((placement) => whole.filter((image) => (own ? image.placement === placement.id : ids.includes(placement.id))).map((image) => ({ image, placement, fit: fits(image.image!, placement) })));
  const fitting = pairs.filter((pair) => pair.fit);
  const unfit = pairs.filter((pair) => !pair.fit);
  const platforms = [...new Set(placements.map((placement) => placement.platform))];
  const broken = brokenNaming(naming);
  const nameError = broken === undefined ? undefined : broken === 'brace' ? zipWords.brace : broken === 'empty' ? zipWords.empty : zipWords.unknownField(broken.field);
  const first = fitting[0] ?? pairs[0];
  const brand = brands.data?.find((one) => one.id === first?.image.brand_id)?.kit?.name ?? '';
  // What the server alone knows: words that cannot be set in a placement.
  const said = failure?.problem.errors ?? [];
  const left = failure?.figure('files');

  const change = (run: () => void) => {
    setFailure(undefined);
    run();
  };
  const add = (name: string) => {
    const it = field.current;
    const at = it?.selectionStart ?? naming.length;
    const to = it?.selectionEnd ?? at;
    const before = naming.slice(0, at);
    const part = `${before && !/[-_. ]$/.test(before) ? '_' : ''}{${name}}`;
    keep('naming', before + part + naming.slice(to));
    setFailure(undefined);
    requestAnimationFrame(() => {
      it?.focus();
      it?.setSelectionRange(at + part.length, at + part.length);
    });
  };

  const download = async (skip = unfit.length > 0) => {
    if (busy) return;
    const body: Schemas['CreateExport'] = {
      generations: whole.map((image) => image.id),
      placements: own ? [] : ids,
      naming,
      skip_unfit: skip,
      ...(clean ? { overlay: 'none' as const } : {}),
    };
    const text = JSON.stringify(body);
    if (attempt.current.body !== text) attempt.current = { body: text, key: newKey() };
    setBusy(true);
    setFailure(undefined);
    try {
      const { data } = await decided(client.POST('/v1/exports', { body, params: { header: { 'Idempotency-Key': attempt.current.key } } }));
      // Decided late: the address is in the answer to the same request again.
      if (!data || !('url' in data)) throw new ApiError({ code: 'undecided' }, 503);
      attempt.current = { body: '', key: '' };
      fetchFile(data.url);
      say(zipWords.started(data.files));
      onClose();
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!error.passing) attempt.current = { body: '', key: '' };
      setFailure(error);
    } finally {
      setBusy(false);
    }
  };

  const over = pairs.length > FILES_MOST;
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={zipWords.title}
      wide
      actions={
        <>
          <p className="numbers mr-auto self-center text-muted">{pairs.length === 0 ? zipWords.missing : zipWords.allFit(fitting.length, pairs.length)}</p>
          <Button kind="primary" icon={Archive} busy={busy} disabled={fitting.length === 0 || over || !!nameError} onClick={() => void download()}>
            {zipWords.download(fitting.length)}
          </Button>
        </>
      }
    >
      <div className="flex flex-col gap-5">
        <div className="flex flex-col gap-2">
          <div role="group" aria-label={zipWords.where} className="flex flex-wrap gap-1.5">
            <Chip on={own} onClick={() => change(() => setOwn(true))}>
              {zipWords.own}
            </Chip>
            <Chip on={!own} onClick={() => change(() => setOwn(false))}>
              {zipWords.chosen}
            </Chip>
          </div>
          {own && (
            <p className="numbers text-caption text-muted">
              {platforms
                .map((platform) => pairs.filter((pair) => pair.placement.platform === platform))
                .filter((asked) => asked.length > 0)
                .map((asked) => zipWords.platform(words.platforms[asked[0]!.placement.platform] ?? asked[0]!.placement.platform, asked.filter((pair) => pair.fit).length, asked.length))
                .join(' · ')}
            </p>
          )}
          {!own &&
            platforms.map((platform) => {
              const here = placements.filter((one) => one.platform === platform);
              const asked = pairs.filter((pair) => pair.placement.platform === platform);
              const name = words.platforms[platform] ?? platform;
              return (
                <fieldset key={platform} className="mt-1">
                  <legend className="numbers mb-1.5 text-caption text-muted">{asked.length ? zipWords.platform(name, asked.filter((pair) => pair.fit).length, asked.length) : name}</legend>
                  <div className="grid gap-1.5 sm:grid-cols-2">
                    {here.map((one) => (
                      <Counted
                        key={one.id}
                        placement={one}
                        all={whole.length}
                        fitting={whole.filter((image) => fits(image.image!, one)).length}
                        on={ids.includes(one.id)}
                        onChange={() => change(() => setIds(ids.includes(one.id) ? ids.filter((id) => id !== one.id) : [...ids, one.id]))}
                      />
                    ))}
                  </div>
                </fieldset>
              );
            })}
        </div>
        {over && <Notice kind="warn" title={zipWords.tooMany(pairs.length, FILES_MOST)} />}
        {unfit.length > 0 && !over && (
          <Notice kind="warn" title={zipWords.unfit(unfit.length)}>
            <p>{zipWords.unfitHint}</p>
            <ul className="mt-2 flex flex-col gap-1">
              {unfit.slice(0, NAMED_MOST).map(({ image, placement }) => (
                <li key={image.id + placement.id} className="flex items-center gap-2">
                  {image.links.thumbnail && <img src={image.links.thumbnail} alt="" className="size-7 shrink-0 rounded-[4px] object-cover" />}
                  <span className="min-w-0 flex-1 truncate text-text">{imageWords.heading(image)}</span>
                  <Link
                    href={`/image?id=${image.id}&panel=more`}
                    aria-label={zipWords.adaptOf(imageWords.heading(image), placement.name)}
                    className="shrink-0 font-medium text-accent underline-offset-2 hover:underline"
                    onClick={() => keep(`wish.${image.id}`, { way: 'adapt', placements: [placement.id] })}
                  >
                    {zipWords.adapt(placement.name)}
                  </Link>
                </li>
              ))}
            </ul>
            {unfit.length > NAMED_MOST && <p className="mt-1 text-caption">{zipWords.moreUnfit(unfit.length - NAMED_MOST)}</p>}
          </Notice>
        )}
        <div role="group" aria-labelledby="zip-overlay" className="flex flex-wrap items-center justify-between gap-2">
          <span id="zip-overlay" className="font-medium">
            {zipWords.overlay}
          </span>
          <span className="flex gap-1.5">
            <Chip on={!clean} onClick={() => change(() => setClean(false))}>
              {zipWords.asComposed}
            </Chip>
            <Chip on={clean} onClick={() => change(() => setClean(true))}>
              {zipWords.without}
            </Chip>
          </span>
        </div>
        <div className="flex flex-col gap-2">
          <Field label={zipWords.naming} error={nameError} hint={first && !nameError ? zipWords.namingHint(exampleName(naming, first.image, brand, first.placement)) : undefined}>
            {(props) => <Input {...props} ref={field} maxLength={200} spellCheck={false} autoComplete="off" value={naming} onChange={(event) => change(() => keep('naming', event.target.value))} />}
          </Field>
          <div className="flex flex-wrap gap-1.5">
            {FIELDS.map((name) => (
              <button key={name} type="button" aria-label={zipWords.addField(zipWords.fields[name])} onClick={() => add(name)} className="inline-flex h-7 items-center gap-1 rounded-full border border-edge px-2.5 text-caption hover:bg-sunken pointer-coarse:h-9">
                <Plus size={12} aria-hidden />
                {zipWords.fields[name]}
              </button>
            ))}
          </div>
        </div>
        {failure && said.length > 0 && left !== undefined ? (
          <Notice kind="bad" title={zipWords.refused} action={left > 0 ? <Button onClick={() => void download(true)}>{zipWords.skip(left)}</Button> : undefined}>
            <ul>
              {said.slice(0, NAMED_MOST).map((one, at) => (
                <li key={at}>{placements.reduce((text, { id, name }) => text.replace(id, name), one.detail)}</li>
              ))}
            </ul>
          </Notice>
        ) : (
          failure && <Failed error={failure} retry={() => void download()} />
        )}
        <p className="text-caption text-muted">{zipWords.content}</p>
      </div>
    </Dialog>
  );
}
