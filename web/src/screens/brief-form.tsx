import dynamic from 'next/dynamic';
import { useState, type ReactNode } from 'react';
import { ChevronRight } from 'lucide-react';
import type { Kit } from '../api/queries';
import { bannedIn, MOST, type Draft } from '../draft';
import { Field, Input, TextArea } from '../ui/basics';
import { words } from '../words';
import { createWords } from '../words/create';

export type Errors = Record<string, string>;

/** The errors of a draft that can be told before it is sent, by JSON pointer. */
export function draftErrors(draft: Draft, kit: Kit | null | undefined): Errors {
  const errors: Errors = {};
  if (!draft.product.trim()) errors['/brief/product'] = createWords.productMissing;
  for (const field of ['product', 'offer', 'headline', 'call_to_action'] as const) {
    const banned = bannedIn(draft[field], kit?.banned_words);
    if (banned.length) errors[`/brief/${field}`] = createWords.banned(banned);
  }
  for (const field of ['product', 'offer', 'audience', 'objective', 'headline', 'call_to_action', 'scene'] as const)
    if (draft[field].length > MOST[field]) errors[`/brief/${field}`] = words.tooLong(MOST[field]);
  if (draft.placements.length === 0) errors['/placements'] = createWords.placementMissing;
  return errors;
}

function Fold({ title, count, children, open }: { title: string; count: number; children: ReactNode; open?: boolean }) {
  return (
    <details className="group border-t" open={open}>
      <summary className="flex h-11 list-none items-center gap-2 font-medium">
        <ChevronRight size={16} aria-hidden className="text-muted transition-transform duration-120 group-open:rotate-90" />
        {title}
        {count > 0 && <span className="numbers text-muted">{count}</span>}
      </summary>
      <div className="flex flex-col gap-5 pb-5">{children}</div>
    </details>
  );
}

// What is folded away is loaded after the form.
const Lines = dynamic(() => import('../ui/lines').then((it) => it.Lines), { ssr: false });
const References = dynamic(() => import('./references'), { ssr: false });

/** The brief as one quiet form. */
export function BriefForm({ draft, change, errors, kit }: { draft: Draft; change: (part: Partial<Draft>) => void; errors: Errors; kit: Kit | null | undefined }) {
  const [touched] = useState(() => draft.must.length + draft.never.length > 0);
  const text = (field: 'product' | 'offer' | 'audience' | 'objective' | 'headline' | 'call_to_action' | 'scene', long?: boolean) => {
    const Control = long ? TextArea : Input;
    const copy = createWords.fields[field];
    return (
      <Field name={`brief-${field}`} label={copy.label} hint={'hint' in copy ? copy.hint : undefined} error={errors[`/brief/${field}`]} most={MOST[field]} length={draft[field].length} optional={field !== 'product'}>
        {(props) => (
          <Control
            {...props}
            value={draft[field]}
            placeholder={copy.example}
            required={field === 'product'}
            onChange={(event: { target: { value: string } }) => change({ [field]: event.target.value })}
          />
        )}
      </Field>
    );
  };
  return (
    <div className="flex flex-col gap-5">
      {text('product', true)}
      {text('headline')}
      <div className="grid gap-5 sm:grid-cols-2">
        {text('call_to_action')}
        {text('offer')}
      </div>
      <div>
        <Fold title={createWords.audienceFold} count={[draft.audience, draft.objective].filter(Boolean).length} open={!!errors['/brief/audience'] || !!errors['/brief/objective'] || undefined}>
          {text('audience')}
          {text('objective')}
        </Fold>
        <Fold title={createWords.rulesFold} count={[...draft.must, ...draft.never, draft.scene].filter(Boolean).length} open={touched || undefined}>
          {text('scene', true)}
          <Lines label={createWords.must} lines={draft.must} most={MOST.lines} lineMost={MOST.line} onChange={(must) => change({ must })} />
          <Lines label={createWords.never} lines={draft.never} most={MOST.lines} lineMost={MOST.line} onChange={(never) => change({ never })} />
        </Fold>
        <Fold title={createWords.referencesFold} count={draft.references.length}>
          <References chosen={draft.references} onChange={(references) => change({ references })} />
        </Fold>
        <Fold title={createWords.labelFold} count={draft.campaign ? 1 : 0}>
          <Field label={createWords.campaign} hint={createWords.campaignHint} optional most={MOST.campaign} length={draft.campaign.length}>
            {(props) => <Input {...props} value={draft.campaign} maxLength={MOST.campaign} onChange={(event) => change({ campaign: event.target.value })} />}
          </Field>
        </Fold>
      </div>
      {kit?.banned_words?.length ? <p className="text-caption text-muted">{createWords.bannedHint(kit.banned_words)}</p> : null}
    </div>
  );
}
