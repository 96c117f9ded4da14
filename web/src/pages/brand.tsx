import { useRouter } from 'next/router';
import { useEffect, useRef, useState, type ReactNode } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { Check, Plus, Upload, X } from 'lucide-react';
import client, { ApiError, dataOf, decided, newKey, type Schemas } from '../api/client';
import { say } from '../api/notices';
import { useAssets, useGenerations } from '../api/lists';
import { keys, refresh, useAsset, useBrand, usePlacements, type Brand, type Kit } from '../api/queries';
import { isNear, paletteOf } from '../logo-colours';
import { keep, kept } from '../kept';
import { completeness } from '../screens/completeness';
import { ACCEPTED, upload } from '../screens/upload';
import { Overlay, Picture, ratioOf, SampleScene } from '../ui/advert';
import { Button, classes, Empty, Field, IconButton, Input, Notice, PageHead, Select, Skeleton, TextArea, ButtonLink } from '../ui/basics';
import { Dialog } from '../ui/dialog';
import { Failed } from '../ui/failed';
import { Frame } from '../ui/frame';
import { Lines } from '../ui/lines';
import { words } from '../words';
import { assetsWords } from '../words/assets';
import { batchWords } from '../words/batch';
import { brandWords } from '../words/brand';

const ROLES = ['primary', 'secondary', 'accent', 'background', 'text', 'neutral'];

/** Bounds of the contract (api/openapi.yaml, Kit). */
const MOST = { name: 100, tagline: 200, voice: 2000, audience: 1000, colours: 12, lines: 20, line: 200, banned: 200, word: 50 };

function Section({ title, note, children }: { title: string; note?: string; children: ReactNode }) {
  return (
    <section className="flex flex-col gap-4 border-t py-6 first:border-t-0 first:pt-0">
      <div>
        <h2 className="text-title font-semibold">{title}</h2>
        {note && <p className="text-muted">{note}</p>}
      </div>
      {children}
    </section>
  );
}

function Logo({ kit, change }: { kit: Kit; change: (part: Partial<Kit>) => void }) {
  const queries = useQueryClient();
  const logo = useAsset(kit.logo_asset_id);
  const logos = useAssets({ kind: 'logo' });
  const input = useRef<HTMLInputElement>(null);
  const [share, setShare] = useState<number>();
  const [error, setError] = useState<string>();
  const [proposed, setProposed] = useState<string[]>([]);
  const take = async (file: File | undefined) => {
    if (!file) return;
    setError(undefined);
    if (!ACCEPTED.includes(file.type)) return setError(assetsWords.wrongType);
    setShare(0);
    try {
      const asset = await upload(file, { kind: 'logo', name: file.name.replace(/\.\w+$/, '').slice(0, 100) }, setShare);
      await refresh(queries, keys.assets);
      change({ logo_asset_id: asset.id });
      say(assetsWords.added(file.name));
    } catch (failure) {
      setError(words.errorOf(failure as ApiError).text);
    }
    setShare(undefined);
  };
  const source = logo.data?.links.file;
  useEffect(() => {
    if (!source) return setProposed([]);
    let gone = false;
    paletteOf(source).then((colours) => !gone && setProposed(colours), () => undefined); // a picture that cannot be read proposes nothing
    return () => {
      gone = true;
    };
  }, [source]);
  const fresh = proposed.filter((hex) => !kit.colours?.some((colour) => isNear(colour.hex, hex)));
  return (
    <>
      <div className="flex flex-wrap items-center gap-4">
        <span className="grid size-24 place-items-center overflow-hidden rounded-panel border" style={source ? { background: '#fff' } : undefined}>{source ? <img src={source} alt={brandWords.logo} className="h-full w-full object-contain p-2" /> : <span className="text-caption text-muted">{brandWords.noLogo}</span>}</span>
        <div className="flex flex-col items-start gap-2">
          <div className="flex flex-wrap gap-2">
            <Button icon={Upload} busy={share !== undefined} onClick={() => input.current?.click()}>
              {brandWords.uploadLogo}
            </Button>
            {kit.logo_asset_id && (
              <Button kind="quiet" onClick={() => change({ logo_asset_id: undefined })}>
                {brandWords.removeLogo}
              </Button>
            )}
          </div>
          <input ref={input} type="file" accept={ACCEPTED.join(',')} aria-label={brandWords.uploadLogo} tabIndex={-1} className="sr-only" onChange={(event) => void take(event.target.files?.[0])} />
          {!kit.logo_asset_id && (logos.data?.pages[0]?.items.length ?? 0) > 0 && (
            <Select aria-label={brandWords.chooseLogo} value="" onChange={(event) => change({ logo_asset_id: event.target.value })}>
              <option value="">{brandWords.chooseLogo}</option>
              {logos.data?.pages[0]?.items.map((asset) => (
                <option key={asset.id} value={asset.id}>
                  {asset.name || asset.id.slice(0, 8)}
                </option>
              ))}
            </Select>
          )}
          {error && <p className="text-caption text-bad">{error}</p>}
        </div>
      </div>
      {fresh.length > 0 && (
        <div>
          <p className="mb-2 text-muted">{brandWords.proposed}</p>
          <div className="flex flex-wrap gap-2">
            {fresh.map((hex) => (
              <button
                key={hex}
                type="button"
                disabled={(kit.colours?.length ?? 0) >= MOST.colours}
                onClick={() => change({ colours: [...(kit.colours ?? []), { hex, ...(kit.colours?.length ? {} : { role: 'primary' }) }] })}
                className="inline-flex h-8 pointer-coarse:h-11 items-center gap-2 rounded-full border border-edge bg-surface pr-3 pl-1.5 hover:bg-sunken"
              >
                <span aria-hidden className="size-5 rounded-full border" style={{ background: hex }} />
                <span className="numbers text-table">{hex}</span>
                <Plus size={14} aria-hidden />
                <span className="sr-only">{brandWords.accept}</span>
              </button>
            ))}
          </div>
        </div>
      )}
    </>
  );
}

function Colours({ kit, change, errors }: { kit: Kit; change: (part: Partial<Kit>) => void; errors: Record<string, string> }) {
  const colours = kit.colours ?? [];
  const set = (at: number, part: Partial<(typeof colours)[number]>) => change({ colours: colours.map((colour, i) => (i === at ? { ...colour, ...part } : colour)) });
  return (
    <div className="flex flex-col gap-2 max-sm:gap-5">
      {colours.map((colour, at) => {
        const error = errors[`/kit/colours/${at}/hex`];
        return (
          <div key={at} className="flex flex-col gap-1">
            <div className="flex flex-wrap items-center gap-2">
              <input type="color" aria-label={brandWords.pick(at + 1)} value={/^#[0-9a-f]{6}$/i.test(colour.hex) ? colour.hex : '#000000'} onChange={(event) => set(at, { hex: event.target.value })} className="size-9 pointer-coarse:size-11 cursor-pointer rounded-control border border-edge bg-surface p-0.5" />
              <Input id={`colour-${at}`} aria-label={brandWords.hex(at + 1)} aria-invalid={error ? true : undefined} value={colour.hex} maxLength={7} spellCheck={false} className="numbers w-26!" onChange={(event) => set(at, { hex: event.target.value })} />
              <Input aria-label={brandWords.colourName(at + 1)} placeholder={brandWords.colourNameHint} value={colour.name ?? ''} maxLength={50} className="w-auto! min-w-24 flex-1" onChange={(event) => set(at, { name: event.target.value || undefined })} />
              <Select aria-label={brandWords.role(at + 1)} value={colour.role ?? ''} className="w-auto! max-sm:flex-1" onChange={(event) => set(at, { role: event.target.value || undefined })}>
                <option value="">{brandWords.noRole}</option>
                {ROLES.map((role) => (
                  <option key={role} value={role}>
                    {brandWords.roles[role]}
                  </option>
                ))}
              </Select>
              <IconButton icon={X} label={brandWords.removeColour(at + 1)} onClick={() => change({ colours: colours.filter((_, i) => i !== at) })} />
            </div>
            {error && <p className="text-caption text-bad">{error}</p>}
          </div>
        );
      })}
      {colours.length < MOST.colours && (
        <Button kind="quiet" icon={Plus} className="self-start" onClick={() => change({ colours: [...colours, { hex: '#888888' }] })}>
          {brandWords.addColour}
        </Button>
      )}
    </div>
  );
}

/** A sample advert that follows every change. */
function Sample({ kit, brand }: { kit: Kit; brand?: string }) {
  const placements = usePlacements();
  const logo = useAsset(kit.logo_asset_id);
  const last = useGenerations({ brand_id: brand, status: 'succeeded' }, !!brand);
  const placement = placements.data?.find((one) => one.id === 'meta_feed_portrait') ?? placements.data?.[0];
  if (!placement) return <Skeleton ratio={0.8} />;
  const image = last.data?.pages[0]?.items.find((one) => one.image && Math.abs(one.image.width / one.image.height - ratioOf(placement)) < 0.05);
  return (
    <div role="img" aria-label={brandWords.sampleAlt(kit.name)} className="relative overflow-hidden rounded-image" style={{ aspectRatio: ratioOf(placement) }}>
      {image ? (
        <Picture src={image.links.thumbnail} alt="" />
      ) : (
        <SampleScene kit={kit} ratio={ratioOf(placement)} />
      )}
      <Overlay placement={placement} kit={kit} headline={kit.tagline || kit.name} callToAction={brandWords.sampleAction} logo={logo.data?.links.file} />
    </div>
  );
}

/** The kit without what is empty: the contract takes no empty lines. */
function cleaned(kit: Kit): Kit {
  const lines = (all: string[] | undefined) => {
    const filled = all?.map((line) => line.trim()).filter(Boolean);
    return filled?.length ? filled : undefined;
  };
  return {
    ...kit,
    name: kit.name.trim(),
    tagline: kit.tagline?.trim() || undefined,
    voice: kit.voice?.trim() || undefined,
    audience: kit.audience?.trim() || undefined,
    colours: kit.colours?.length ? kit.colours : undefined,
    do: lines(kit.do),
    dont: lines(kit.dont),
    banned_words: lines(kit.banned_words),
  };
}

function kitErrors(kit: Kit): Record<string, string> {
  const errors: Record<string, string> = {};
  if (!kit.name.trim()) errors['/kit/name'] = brandWords.nameMissing;
  kit.colours?.forEach((colour, at) => {
    if (!/^#[0-9a-f]{6}$/i.test(colour.hex)) errors[`/kit/colours/${at}/hex`] = brandWords.badHex;
  });
  for (const field of ['name', 'tagline', 'voice', 'audience'] as const) if ((kit[field]?.length ?? 0) > MOST[field]) errors[`/kit/${field}`] = words.tooLong(MOST[field]);
  const long = kit.banned_words?.find((word) => word.length > MOST.word);
  if (long) errors['/kit/banned_words'] = words.tooLong(MOST.word);
  return errors;
}

/** Both versions side by side, when somebody else saved meanwhile. */
function Conflict({ mine, theirs, onMine, onTheirs, onClose }: { mine: Kit; theirs: Brand; onMine: () => void; onTheirs: () => void; onClose: () => void }) {
  const fields = (['name', 'tagline', 'voice', 'audience', 'colours', 'do', 'dont', 'banned_words', 'logo_asset_id'] as const).filter((field) => JSON.stringify(mine[field] ?? null) !== JSON.stringify(theirs.kit?.[field] ?? null));
  const shown = (value: unknown): string => (Array.isArray(value) ? value.map((one) => (typeof one === 'string' ? one : `${(one as { name?: string }).name ?? ''} ${(one as { hex?: string }).hex ?? ''}`.trim())).join(', ') : typeof value === 'string' ? value : '–');
  return (
    <Dialog
      open
      wide
      onClose={onClose}
      title={brandWords.conflictTitle}
      actions={
        <>
          <Button onClick={onTheirs}>{brandWords.takeTheirs}</Button>
          <Button kind="primary" onClick={onMine}>
            {brandWords.keepMine}
          </Button>
        </>
      }
    >
      <p className="mb-4 text-muted">{brandWords.conflict(theirs.version)}</p>
      <table className="w-full border-collapse text-left text-table">
        <thead>
          <tr className="border-b">
            <th className="w-28 py-2 pr-3 font-medium" scope="col">
              <span className="sr-only">{brandWords.field}</span>
            </th>
            <th className="py-2 pr-3 font-medium" scope="col">{brandWords.mine}</th>
            <th className="py-2 font-medium" scope="col">{brandWords.theirs(theirs.version)}</th>
          </tr>
        </thead>
        <tbody>
          {fields.map((field) => (
            <tr key={field} className="border-b align-top">
              <th scope="row" className="py-2 pr-3 font-medium">{brandWords.fields[field]}</th>
              <td className="py-2 pr-3 break-words">{shown(mine[field])}</td>
              <td className="py-2 break-words">{shown(theirs.kit?.[field])}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Dialog>
  );
}

type Unsaved = { kit: Kit; version: number };

function Editor({ brand }: { brand?: Brand }) {
  const router = useRouter();
  const queries = useQueryClient();
  const name = `kit.${brand?.id ?? 'new'}`;
  const [unsaved] = useState(() => kept<Unsaved>(name));
  const [kit, setKit] = useState<Kit>(unsaved?.kit ?? brand?.kit ?? { name: '' });
  const [version, setVersion] = useState(unsaved?.version ?? brand?.version ?? 0);
  const [dirty, setDirty] = useState(!!unsaved);
  const [errors, setErrors] = useState<Record<string, string>>({});
  const [failure, setFailure] = useState<unknown>();
  const [conflict, setConflict] = useState<Brand>();
  const [busy, setBusy] = useState(false);
  const attempt = useRef({ body: '', key: '' });

  const change = (part: Partial<Kit>) => {
    const next = { ...kit, ...part };
    setKit(next);
    setDirty(true);
    setFailure(undefined);
    setErrors((old) => Object.fromEntries(Object.entries(old).filter(([pointer]) => !Object.keys(part).some((field) => pointer.startsWith(`/kit/${field}`)))));
    keep(name, { kit: next, version } satisfies Unsaved);
  };
  // Somebody saved while nothing was changed here: show it.
  useEffect(() => {
    if (brand && !dirty && brand.version > version) {
      setKit(brand.kit ?? { name: '' });
      setVersion(brand.version);
    }
  }, [brand, dirty, version]);

  const point = (found: Record<string, string>) => {
    setErrors(found);
    const first = Object.keys(found)[0] ?? '';
    const at = /^\/kit\/colours\/(\d+)/.exec(first)?.[1];
    requestAnimationFrame(() => document.getElementById(at ? `colour-${at}` : first.replace('/kit/', 'kit-'))?.focus());
    say(Object.values(found)[0] ?? '');
  };
  const save = async (over = version) => {
    const found = kitErrors(kit);
    if (Object.keys(found).length) return point(found);
    setBusy(true);
    setFailure(undefined);
    const body = { kit: cleaned(kit) as never };
    const text = JSON.stringify([body, over]);
    if (attempt.current.body !== text) attempt.current = { body: text, key: newKey() };
    const key = attempt.current.key;
    try {
      if (brand) {
        const { data } = await decided(client.PUT('/v1/brands/{brand_id}', { params: { path: { brand_id: brand.id }, header: { 'If-Match': `"${over}"`, 'Idempotency-Key': key } }, body }));
        setVersion((data as Schemas['SavedBrand'] | undefined)?.version ?? over + 1);
      } else {
        const { data, outcome } = await decided(client.POST('/v1/brands', { params: { header: { 'Idempotency-Key': key } }, body }));
        keep(name, undefined);
        const id = data && 'version' in data ? data.id : outcome?.resource_id;
        if (id) keep('brand', id);
        await refresh(queries, keys.brands);
        say(brandWords.saved(kit.name));
        await router.replace(`/brand?id=${id}`);
        return;
      }
      keep(name, undefined);
      setDirty(false);
      await refresh(queries, keys.brands);
      say(brandWords.saved(kit.name));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!error.passing) attempt.current = { body: '', key: '' };
      if (brand && (error.code === 'stale_version' || error.code === 'version_conflict')) {
        const theirs = await dataOf(client.GET('/v1/brands/{brand_id}', { params: { path: { brand_id: brand.id } } })).catch(() => undefined);
        if (theirs) setConflict(theirs as unknown as Brand);
        else setFailure(error);
      } else if (error.problem.errors?.length) point(Object.fromEntries(error.problem.errors.map(({ pointer, detail }) => [pointer, detail])));
      else setFailure(error);
    } finally {
      setBusy(false);
    }
  };

  const { done, of, missing } = completeness(kit);
  const text = (field: 'name' | 'tagline' | 'voice' | 'audience', long?: boolean) => {
    const Control = long ? TextArea : Input;
    const copy = brandWords.copy[field];
    return (
      <Field name={`kit-${field}`} label={copy.label} hint={copy.hint} error={errors[`/kit/${field}`]} optional={field !== 'name'} most={MOST[field]} length={kit[field]?.length ?? 0}>
        {(props) => <Control {...props} value={kit[field] ?? ''} onChange={(event: { target: { value: string } }) => change({ [field]: field === 'name' ? event.target.value : event.target.value || undefined })} />}
      </Field>
    );
  };
  return (
    <form
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        void save();
      }}
      className="flex flex-col gap-8"
    >
      <PageHead title={brand ? kit.name || brandWords.one : words.noBrand.action} note={brand ? brandWords.version(version) : brandWords.newNote}>
        {dirty && brand && (
          <Button
            kind="quiet"
            onClick={() => {
              keep(name, undefined);
              setKit(brand.kit ?? { name: '' });
              setVersion(brand.version);
              setDirty(false);
              setErrors({});
            }}
          >
            {brandWords.discard}
          </Button>
        )}
        <Button type="submit" kind="primary" busy={busy} disabled={!dirty && !!brand} icon={dirty || !brand ? undefined : Check}>
          {dirty || !brand ? brandWords.save : brandWords.isSaved}
        </Button>
      </PageHead>
      {failure ? <Failed error={failure} retry={() => void save()} /> : null}
      {unsaved && dirty && <Notice title={brandWords.unsaved} />}
      <div className="grid grid-cols-[minmax(0,1fr)] items-start gap-x-16 gap-y-8 lg:grid-cols-[minmax(0,40rem)_minmax(16rem,22rem)]">
        <div>
          <Section title={brandWords.sections.name}>
            {text('name')}
            {text('tagline')}
          </Section>
          <Section title={brandWords.sections.look} note={brandWords.sections.lookNote}>
            <Logo kit={kit} change={change} />
            <Colours kit={kit} change={change} errors={errors} />
          </Section>
          <Section title={brandWords.sections.speech}>
            {text('voice', true)}
            {text('audience', true)}
          </Section>
          <Section title={brandWords.sections.rules}>
            <Lines label={brandWords.do} lines={kit.do ?? []} most={MOST.lines} lineMost={MOST.line} onChange={(lines) => change({ do: lines })} />
            <Lines label={brandWords.dont} lines={kit.dont ?? []} most={MOST.lines} lineMost={MOST.line} onChange={(lines) => change({ dont: lines })} />
            <Field name="kit-banned_words" label={brandWords.banned} hint={brandWords.bannedHint} error={errors['/kit/banned_words']} optional>
              {(props) => <TextArea {...props} value={kit.banned_words?.join('\n') ?? ''} onChange={(event) => change({ banned_words: event.target.value === '' ? undefined : event.target.value.split('\n').slice(0, MOST.banned) })} />}
            </Field>
          </Section>
        </div>
        <aside aria-label={brandWords.sample} className="flex flex-col gap-5 lg:sticky lg:top-8">
          <Sample kit={kit} brand={brand?.id} />
          <div>
            <h2 className="mb-2 font-semibold">
              {brandWords.completeness} <span className="numbers font-normal text-muted">{batchWords.of(done, of)}</span>
            </h2>
            {missing.length === 0 ? (
              <p className="flex items-center gap-2 text-good">
                <Check size={16} aria-hidden /> {brandWords.allThere}
              </p>
            ) : (
              <ul className={classes('flex flex-col gap-2 text-muted')}>
                {missing.map((part) => (
                  <li key={part}>{brandWords.parts[part]}</li>
                ))}
              </ul>
            )}
          </div>
        </aside>
      </div>
      {conflict && (
        <Conflict
          mine={kit}
          theirs={conflict}
          onClose={() => setConflict(undefined)}
          onMine={() => {
            const over = conflict.version;
            setConflict(undefined);
            setVersion(over);
            void save(over);
          }}
          onTheirs={() => {
            keep(name, undefined);
            setKit(conflict.kit ?? { name: '' });
            setVersion(conflict.version);
            setDirty(false);
            setConflict(undefined);
            void refresh(queries, keys.brands);
          }}
        />
      )}
    </form>
  );
}

export default function BrandPage() {
  const router = useRouter();
  const id = typeof router.query.id === 'string' ? router.query.id : undefined;
  const brand = useBrand(id);
  return (
    <Frame title={brand.data?.kit?.name ?? words.noBrand.action}>
      {brand.error && (brand.error as ApiError).status === 404 ? (
        <Empty page title={brandWords.goneTitle} action={<ButtonLink kind="primary" href="/brands">{words.nav.brands}</ButtonLink>}>
          {brandWords.gone}
        </Empty>
      ) : brand.error ? (
        <Failed error={brand.error} retry={() => void brand.refetch()} />
      ) : !router.isReady || (id && !brand.data) ? (
        <div className="flex max-w-160 flex-col gap-4" aria-busy>
          {[36, 72, 72, 200].map((height, at) => (
            <div key={at} style={{ height }}>
              <Skeleton className="h-full" />
            </div>
          ))}
        </div>
      ) : (
        <Editor key={id ?? 'new'} brand={brand.data} />
      )}
    </Frame>
  );
}
