// An image that is not there: why, and the ways on.

import { useRouter } from 'next/router';
import { useRef, useState } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { CircleX, Clock, PencilLine, RotateCcw, X } from 'lucide-react';
import client, { ApiError, decided, newKey, type Schemas } from '../api/client';
import { keys, refresh, useWorkflows } from '../api/queries';
import { EMPTY, type Draft } from '../draft';
import { keep, kept } from '../kept';
import { Button } from '../ui/basics';
import { Dialog } from '../ui/dialog';
import { Failed } from '../ui/failed';
import { failureWords, isAboutBrief } from '../words/failures';
import { imageWords } from '../words/image';

/** A batch's brief, as one writes it. */
function draftOf(batch: Schemas['Batch'], image: Schemas['Generation']): Partial<Draft> {
  const { reference_asset_ids: references, ...brief } = (batch.brief ?? {}) as Schemas['Brief'];
  const known = Object.fromEntries(Object.entries(brief).filter(([field]) => field in EMPTY));
  return { ...EMPTY, ...known, references: references ?? [], placements: [image.placement], variants: 1, tier: batch.tier === 'pro' ? 'pro' : 'standard', campaign: batch.campaign ?? '' };
}

export default function NotMade({ image, batch }: { image: Schemas['Generation']; batch?: Schemas['Batch'] }) {
  const router = useRouter();
  const queries = useQueryClient();
  const workflows = useWorkflows();
  const price = workflows.data?.items.find((one) => one.name === image.workflow)?.prices[image.tier];
  const [busy, setBusy] = useState(false);
  const [failure, setFailure] = useState<ApiError>();
  const [asking, setAsking] = useState(false);
  const key = useRef(newKey());
  const ended = image.status !== 'requested';
  const Icon = image.status === 'failed' ? CircleX : ended ? X : Clock;

  const again = async () => {
    if (!batch || price === undefined || busy) return;
    setBusy(true);
    setFailure(undefined);
    const { factor, feedback, source } = image.lineage;
    try {
      const { data, outcome } = await decided(
        client.POST('/v1/generations', {
          params: { header: { 'Idempotency-Key': key.current } },
          body: {
            workflow: batch.workflow,
            tier: batch.tier === 'pro' ? 'pro' : 'standard',
            variants: 1,
            placements: [image.placement],
            brand_id: batch.brand_id,
            ...(batch.brief ? { brief: batch.brief as Schemas['Brief'] } : {}),
            ...(batch.campaign ? { campaign: batch.campaign } : {}),
            ...(source ? { params: { source_generation_id: source.id, ...(factor ? { factor } : {}), ...(feedback ? { feedback } : {}) } } : {}),
            max_credits: price,
          },
        }),
      );
      void refresh(queries, keys.me, keys.credits, keys.generations, keys.batches);
      await router.push(`/batch?id=${data?.batch_id ?? outcome?.batch_id}`);
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!error.passing) key.current = newKey();
      if (error.code === 'price_changed') await refresh(queries, ['workflows']);
      setFailure(error);
    } finally {
      setBusy(false);
    }
  };

  const write = () => {
    if (!batch) return;
    keep('brand', batch.brand_id);
    keep(`draft.${batch.brand_id}`, draftOf(batch, image));
    void router.push('/create');
  };
  const changeBrief = () => {
    if (!batch) return;
    const writing = kept<Partial<Draft>>(`draft.${batch.brand_id}`);
    const brief = batch.brief as Partial<Schemas['Brief']> | null;
    // Who writes about something else is asked first.
    if (writing?.product && writing.product !== brief?.product) setAsking(true);
    else write();
  };

  const about = image.failure && isAboutBrief(image.failure);
  const actions = [
    <Button key="again" kind={about ? 'plain' : 'primary'} icon={RotateCcw} busy={busy} disabled={!batch || price === undefined} onClick={() => void again()}>
      {imageWords.again(price)}
    </Button>,
    <Button key="change" kind={about ? 'primary' : 'plain'} icon={PencilLine} disabled={!batch?.brief} onClick={changeBrief}>
      {imageWords.changeBrief}
    </Button>,
  ];
  return (
    <div className="enter flex w-full max-w-md flex-col items-center gap-3 text-center">
      <Icon size={28} aria-hidden className={image.status === 'failed' ? 'text-bad' : 'text-muted'} />
      <h2 className="text-title font-semibold">{image.status === 'failed' ? imageWords.failedTitle : ended ? imageWords.canceledTitle : imageWords.waitingTitle}</h2>
      <p className="text-muted">
        {image.failure ? failureWords(image.failure) : image.waiting} {ended && imageWords.paidNothing}
      </p>
      {ended && <div className="mt-1 flex flex-wrap justify-center gap-2">{about ? actions.toReversed() : actions}</div>}
      {failure && (
        <div className="w-full text-left">
          <Failed error={failure} retry={() => void again()} />
        </div>
      )}
      <Dialog open={asking} onClose={() => setAsking(false)} title={imageWords.replaceTitle} actions={<Button kind="primary" onClick={write}>{imageWords.replaceDo}</Button>}>
        <p className="text-left text-muted">{imageWords.replace}</p>
      </Dialog>
    </div>
  );
}
