// Every part in every state, for who works on the screens: /style while `make dev` runs.
// The export leaves it out (export.mjs); so its words are here and not in words.ts.

import Head from 'next/head';
import { useState, type ReactNode } from 'react';
import { Download, Heart, Plus, Sparkles, Trash2 } from 'lucide-react';
import { ApiError, type Schemas } from '../api/client';
import type { Stage } from '../api/notices';
import type { Kit } from '../api/queries';
import { Tile } from '../screens/batch-tile';
import { PlacementPicker } from '../screens/placement-picker';
import { ReceiptView } from '../screens/receipt';
import { Overlay, Picture, ratioOf, SafeZone } from '../ui/advert';
import { Button, ButtonLink, Chip, Empty, Field, IconButton, Input, Notice, PageHead, Select, Skeleton, TextArea } from '../ui/basics';
import { BrandMark } from '../ui/brand-switch';
import { Dialog } from '../ui/dialog';
import { Failed } from '../ui/failed';
import { Lines } from '../ui/lines';

const COLOURS = ['canvas', 'surface', 'raised', 'sunken', 'line', 'edge', 'text', 'muted', 'accent', 'accent-hover', 'accent-text', 'accent-soft', 'good', 'warn', 'bad'];

const TYPE: [name: string, className: string, use: string][] = [
  ['display', 'text-display font-semibold', '28, 600: the title of a screen'],
  ['title', 'text-title font-semibold', '20, 600: a section'],
  ['lead', 'text-lead', '16: what leads in'],
  ['body', 'text-body', '14: everything else'],
  ['table', 'text-table', '13: dense tables, chips'],
  ['caption', 'text-caption text-muted', '12: hints and captions'],
];

const KIT: Kit = {
  name: 'Solstice Tea',
  colours: [
    { hex: '#2f5d50', role: 'primary' },
    { hex: '#d9653b', role: 'accent' },
    { hex: '#f4ecdd', role: 'background' },
  ],
};

const placement = (id: string, platform: string, name: string, width: number, height: number, top = 0, bottom = 0, sides = 0): Schemas['Placement'] => ({
  id, platform, name, width, height, ratio: '', bytes_max: 0, ratio_tolerance: 0, safe_zone: { top, bottom, sides },
});

const PLACEMENTS = [
  placement('meta_feed_square', 'meta', 'Feed square', 1080, 1080),
  placement('meta_feed_portrait', 'meta', 'Feed portrait', 1080, 1350),
  placement('meta_story', 'meta', 'Stories', 1080, 1920, 14, 35, 6),
  placement('google_landscape', 'google', 'Display landscape', 1200, 628, 10, 10, 10),
];

const IMAGE: Schemas['GenerationSummary'] = {
  id: '00000000-0000-0000-0000-000000000000', batch_id: '', brand_id: '', placement: 'meta_feed_square', number: 1, status: 'requested', workflow: 'create', tier: 'standard',
  campaign: null, requested_at: '2026-11-26T12:00:00Z', finished_at: null, deadline: '2026-11-26T12:30:00Z', image: null, failure: null, credits: 0, product: 'Tea', headline: null,
  call_to_action: null, favourite: false, tags: [], rating: 'none', rating_reason: null, deleted_at: null, links: { self: '', thumbnail: null } as unknown as Schemas['GenerationSummary']['links'],
};

const stage = (name: string, attempt = 1): Stage => ({ stage: name, attempt, attempts_max: 3 });

/** A picture without the server: two colours of the sample brand. */
const DRAWN = `data:image/svg+xml,${encodeURIComponent('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 10"><rect width="10" height="10" fill="#6f9486"/><rect y="7" width="10" height="3" fill="#2f5d50"/><circle cx="6" cy="6" r="2" fill="#f4ecdd"/></svg>')}`;

const TILES: [name: string, image: Partial<Schemas['GenerationSummary']>, stage?: Stage, ahead?: number][] = [
  ['waiting, others before it', {}, undefined, 3],
  ['waiting', {}],
  ['drawing', {}, stage('generating')],
  ['checking', {}, stage('checking')],
  ['second try', {}, stage('retrying')],
  ['third try', {}, stage('generating', 3)],
  ['storing', {}, stage('storing')],
  ['done', { status: 'succeeded', links: { ...IMAGE.links, thumbnail: DRAWN } }],
  ['done, the picture has not come', { status: 'succeeded' }],
  ['failed', { status: 'failed', failure: { reason: 'overloaded', detail: '' } as Schemas['GenerationSummary']['failure'] }],
  ['canceled', { status: 'canceled' }],
];

const verdict = (check: string, verdict: Schemas['ReceiptVerdict']['verdict'], evidence: string): Schemas['ReceiptVerdict'] => ({ check, version: 1, verdict, question: '', answer: '', evidence, figures: {} });

const RECEIPT: Schemas['Receipt'] = {
  model: 'stand-in', model_version: '1', template: 'create', template_version: 1,
  attempts: [
    { number: 1, outcome: 'retry', duration_ms: 900, verdicts: [verdict('decodes', 'pass', 'jpeg of 1080×1080 pixels'), verdict('border', 'block', 'a band of 40 pixels at the top')] },
    { number: 2, outcome: 'passed', duration_ms: 800, verdicts: [verdict('decodes', 'pass', 'jpeg of 1080×1080 pixels'), verdict('palette', 'warn', '18 % of the picture is far from the palette'), verdict('near_duplicate', 'retry', 'like number 2')] },
  ],
};

function Part({ title, children }: { title: string; children: ReactNode }) {
  return (
    <section className="flex flex-col gap-4 border-t pt-6">
      <h2 className="text-title font-semibold">{title}</h2>
      {children}
    </section>
  );
}

function Named({ name, children, className }: { name: string; children: ReactNode; className?: string }) {
  return (
    <div className={className}>
      {children}
      <p className="mt-1.5 text-caption text-muted">{name}</p>
    </div>
  );
}

export default function Style() {
  const [chosen, setChosen] = useState(['meta_feed_square']);
  const [lines, setLines] = useState(['Natural light', 'Faces of people']);
  const [on, setOn] = useState(true);
  const [open, setOpen] = useState<'' | 'narrow' | 'wide'>('');
  const theme = (name: string) => {
    localStorage.setItem('atelier.theme', name);
    window.dispatchEvent(new Event('atelier-theme'));
  };
  return (
    <main className="mx-auto flex max-w-5xl flex-col gap-10 px-4 py-8">
      <Head>
        <title>Style · Atelier</title>
      </Head>
      <PageHead title="Style" note="Every part in every state.">
        <Button onClick={() => theme('light')}>Light</Button>
        <Button onClick={() => theme('dark')}>Dark</Button>
      </PageHead>

      <Part title="Type">
        {TYPE.map(([name, className, use]) => (
          <div key={name} className="flex flex-wrap items-baseline justify-between gap-x-6">
            <p className={className}>Slow mornings, poured 0123456789</p>
            <p className="text-caption text-muted">{`text-${name} · ${use}`}</p>
          </div>
        ))}
        <p className="font-medium">Medium, 500: labels and names</p>
        <p className="numbers">1,110.11 and 8,888.88 stand under each other (numbers)</p>
      </Part>

      <Part title="Colours">
        <ul className="grid grid-cols-[repeat(auto-fill,minmax(120px,1fr))] gap-4">
          {COLOURS.map((name) => (
            <li key={name}>
              <span className="block h-14 rounded-control border" style={{ background: `var(--${name})` }} />
              <p className="mt-1.5 text-caption">{name}</p>
            </li>
          ))}
        </ul>
        <p>
          text, <span className="text-muted">muted</span>, <span className="text-accent">accent</span>, <span className="text-good">good</span>, <span className="text-warn">warn</span>, <span className="text-bad">bad</span>
        </p>
      </Part>

      <Part title="Buttons">
        {(['primary', 'plain', 'quiet', 'bad'] as const).map((kind) => (
          <div key={kind} className="flex flex-wrap items-center gap-2">
            <span className="w-20 text-muted">{kind}</span>
            <Button kind={kind}>Make 4 images</Button>
            <Button kind={kind} icon={Sparkles}>With an icon</Button>
            <Button kind={kind} busy>Busy</Button>
            <Button kind={kind} disabled>Disabled</Button>
            <ButtonLink kind={kind} icon={Download} href="#">A link</ButtonLink>
          </div>
        ))}
        <div className="flex flex-wrap items-center gap-2">
          <span className="w-20 text-muted">icon</span>
          <IconButton icon={Plus} label="More" />
          <IconButton icon={Heart} label="Favourite" pressed={on} onClick={() => setOn(!on)} />
          <IconButton icon={Trash2} label="Disabled" disabled />
        </div>
        <div className="flex flex-wrap items-center gap-2">
          <span className="w-20 text-muted">chip</span>
          <Chip on={on} onClick={() => setOn(!on)}>Favourites</Chip>
          <Chip>Off</Chip>
          <Chip on>On</Chip>
          <Chip disabled>Disabled</Chip>
        </div>
      </Part>

      <Part title="Fields">
        <div className="grid max-w-3xl gap-5 sm:grid-cols-2">
          <Field label="Plain">{(props) => <Input {...props} placeholder="Slow mornings, poured" />}</Field>
          <Field label="With a hint" hint="Set over the picture in your colours." optional>{(props) => <Input {...props} defaultValue="Poured" />}</Field>
          <Field label="Near its end" most={30} length={26}>{(props) => <Input {...props} defaultValue="Twenty-six characters here" />}</Field>
          <Field label="Too long" most={10} length={14} error="Shorten this to 10 characters.">{(props) => <Input {...props} defaultValue="Fourteen signs" />}</Field>
          <Field label="Wrong" error="Say what the advert is for.">{(props) => <TextArea {...props} />}</Field>
          <Field label="Disabled">{(props) => <Input {...props} defaultValue="you@example.com" disabled />}</Field>
          <Field label="Choice">
            {(props) => (
              <Select {...props}>
                <option>All placements</option>
                <option>Meta · Stories</option>
              </Select>
            )}
          </Field>
          <Lines label="Lines" hint="Enter adds the next." lines={lines} most={4} lineMost={200} errors={{ 1: 'This is a safety rule already.' }} onChange={setLines} />
        </div>
      </Part>

      <Part title="Notices">
        <Notice title="These changes were not saved yet.">They were kept on this device.</Notice>
        <Notice kind="good" title="Everything is there." />
        <Notice kind="warn" title="6 credits short: you have 10." action={<Button>Fit to balance: 4 images</Button>}>Your brief is kept.</Notice>
        <Notice kind="warn" title="Only 2 credits left." action={<Button>Credits</Button>} />
        <Failed error={new ApiError({}, 0)} retry={() => undefined} />
        <Failed error={new ApiError({ code: 'insufficient_credits', shortfall: 6 } as never, 402)} />
      </Part>

      <Part title="Empty and awaited">
        <div className="rounded-panel border bg-surface">
          <Empty title="No images yet" action={<Button kind="primary" icon={Sparkles}>Make four sample adverts</Button>}>
            Everything that you make is kept here, newest first.
          </Empty>
        </div>
        <div className="flex flex-wrap items-start gap-3">
          {PLACEMENTS.map((one) => (
            <div key={one.id} style={{ width: 160 * Math.min(1.5, ratioOf(one)) }}>
              <Skeleton ratio={ratioOf(one)} />
            </div>
          ))}
        </div>
      </Part>

      <Part title="Dialogs">
        <div className="flex gap-2">
          <Button onClick={() => setOpen('narrow')}>Open one</Button>
          <Button onClick={() => setOpen('wide')}>Open a wide one</Button>
        </div>
        <Dialog
          open={!!open}
          wide={open === 'wide'}
          onClose={() => setOpen('')}
          title="Remove this picture?"
          actions={
            <>
              <Button onClick={() => setOpen('')}>Keep it</Button>
              <Button kind="bad" onClick={() => setOpen('')}>Remove it</Button>
            </>
          }
        >
          <p>Tin can no longer be chosen. Adverts that were made with it stay.</p>
        </Dialog>
      </Part>

      <Part title="Tiles of a batch">
        <ul className="grid grid-cols-[repeat(auto-fill,minmax(200px,1fr))] gap-4">
          {TILES.map(([name, image, at, ahead]) => (
            <li key={name}>
              <Named name={name}>
                <div className="aspect-square">
                  <Tile image={{ ...IMAGE, ...image }} name="Feed square" stage={at} ahead={ahead ?? 0} perImage={2} onCancel={() => undefined} />
                </div>
              </Named>
            </li>
          ))}
        </ul>
      </Part>

      <Part title="Adverts">
        <div className="flex flex-wrap items-start gap-4">
          {PLACEMENTS.map((one) => (
            <Named key={one.id} name={one.name}>
              <div className="group/advert relative overflow-hidden rounded-image" style={{ height: 240, aspectRatio: ratioOf(one) }}>
                <Picture src={DRAWN} alt={`Sample, ${one.name}`} />
                <Overlay placement={one} kit={KIT} headline="Slow mornings, poured" callToAction="Shop now" />
                <SafeZone zone={one.safe_zone} shown={on} />
              </div>
            </Named>
          ))}
        </div>
        <div className="flex items-center gap-3">
          {[18, 24, 40].map((size) => (
            <BrandMark key={size} size={size} colour="#2f5d50" />
          ))}
          <BrandMark />
          <span className="text-caption text-muted">brand marks; the last has no colour</span>
        </div>
      </Part>

      <Part title="Placements">
        <div className="max-w-160">
          <PlacementPicker placements={PLACEMENTS} chosen={chosen} onChange={setChosen} error={chosen.length ? undefined : 'Choose at least one placement.'} />
        </div>
      </Part>

      <Part title="Receipt">
        <div className="max-w-90">
          <ReceiptView receipt={RECEIPT} />
        </div>
      </Part>
    </main>
  );
}
