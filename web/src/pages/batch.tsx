import dynamic from 'next/dynamic';
import { useRouter } from 'next/router';
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { Archive, Check, Download, RotateCcw, X } from 'lucide-react';
import client, { ApiError, decided, newKey } from '../api/client';
import { say, useStages } from '../api/notices';
import { useGenerations } from '../api/lists';
import { keys, refresh, useBatch, usePlacements } from '../api/queries';
import { downloadAll } from '../download';
import { Tile } from '../screens/batch-tile';
import { justify } from '../screens/justified';
import { ratioOf } from '../ui/advert';
import { Button, ButtonLink, Empty, PageHead, Skeleton } from '../ui/basics';
import { Failed } from '../ui/failed';
import { Frame } from '../ui/frame';
import { words } from '../words';
import { batchWords } from '../words/batch';

const ZipDialog = dynamic(() => import('../screens/zip-dialog'), { ssr: false });

const GAP = 12;
const ROW = 300;

function useWidth<T extends HTMLElement>(): [React.RefObject<T | null>, number] {
  const box = useRef<T>(null);
  const [width, setWidth] = useState(0);
  useLayoutEffect(() => {
    const it = box.current;
    if (!it) return;
    const observer = new ResizeObserver(([entry]) => entry && setWidth(Math.floor(entry.contentRect.width)));
    setWidth(Math.floor(it.clientWidth));
    observer.observe(it);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

export default function Batch() {
  const router = useRouter();
  const id = typeof router.query.id === 'string' ? router.query.id : undefined;
  const queries = useQueryClient();
  const batch = useBatch(id);
  const list = useGenerations({ batch_id: id }, !!id);
  const placements = usePlacements();
  const stages = useStages();
  const [box, width] = useWidth<HTMLDivElement>();
  const [busy, setBusy] = useState('');
  const [zipping, setZipping] = useState<boolean>(); // undefined: not loaded yet
  const [failure, setFailure] = useState<unknown>();

  const shown = list.data?.pages.flatMap((page) => page.items) ?? [];
  // What is in the bin is not in that list, but still belongs to the batch.
  const binned = useGenerations({ batch_id: id, binned: true }, !!list.data && shown.length < (batch.data?.images ?? 0));
  const images = [...shown, ...(binned.data?.pages.flatMap((page) => page.items) ?? []).filter((one) => one.batch_id === id && !shown.some((other) => other.id === one.id))].toReversed();
  const of = new Map(placements.data?.map((placement) => [placement.id, placement]));
  const order = [...of.keys()];
  images.sort((a, b) => order.indexOf(a.placement) - order.indexOf(b.placement) || a.number - b.number);
  const ratios = images.map((image) => ratioOf(of.get(image.placement) ?? { width: 1, height: 1 }));
  const { rows, height } = justify(ratios, width, ROW, GAP);
  const done = images.filter((image) => image.status === 'succeeded' && !image.deleted_at);
  const counts = batch.data?.counts;
  const open = counts?.open ?? 0;
  const waiting = images.filter((image) => image.status === 'requested' && !stages.has(image.id));

  // Says how far it is, once for each image that ends.
  const ended = counts ? counts.succeeded + counts.failed + counts.canceled : 0;
  const told = useRef<number>(undefined);
  useEffect(() => {
    if (!batch.data) return;
    if (told.current !== undefined && told.current !== ended) say(batchWords.progress(batch.data));
    told.current = ended;
  }, [ended, batch.data]);

  const cancel = async (generation?: string) => {
    setFailure(undefined);
    setBusy(generation ? '' : 'cancel');
    try {
      const header = { 'Idempotency-Key': newKey() };
      await decided(
        generation
          ? client.POST('/v1/generations/{generation_id}/cancel', { params: { path: { generation_id: generation }, header } })
          : client.POST('/v1/batches/{batch_id}/cancel', { params: { path: { batch_id: id! }, header } }),
      );
    } catch (error) {
      // It finished while one reached for the button: then it is there to be seen.
      if (!(error instanceof ApiError && error.code === 'already_finished')) setFailure(error);
    } finally {
      setBusy('');
      await refresh(queries, keys.batch, keys.generations, keys.me, keys.credits, keys.batches);
    }
  };
  const save = async () => {
    setBusy('download');
    setFailure(undefined);
    const failed = await downloadAll(done, (n) => say(batchWords.saved(n, done.length)));
    if (failed[0]) setFailure(failed[0].error);
    setBusy('');
  };

  const again = { pathname: '/create' };
  return (
    <Frame title={batchWords.title}>
      {batch.error && (batch.error as ApiError).status === 404 ? (
        <Empty page title={batchWords.goneTitle} action={<ButtonLink kind="primary" href="/gallery">{words.nav.gallery}</ButtonLink>}>
          {batchWords.gone}
        </Empty>
      ) : (
        <div className="flex flex-col gap-6">
          <PageHead title={batch.data ? batchWords.asked(batch.data) : batchWords.title} note={batch.data && <span className="numbers">{batchWords.money(batch.data)}</span>}>
            {open > 0 && (
              <Button icon={X} busy={busy === 'cancel'} onClick={() => void cancel()}>
                {batchWords.cancelRest(open)}
              </Button>
            )}
            {open === 0 && batch.data && (
              <ButtonLink icon={RotateCcw} href={again}>
                {batchWords.again}
              </ButtonLink>
            )}
            {done.length > 0 && (
              <Button icon={Archive} onClick={() => setZipping(true)}>
                {batchWords.zip}
              </Button>
            )}
            {done.length > 0 && (
              <Button kind={open === 0 ? 'primary' : 'plain'} icon={Download} busy={busy === 'download'} onClick={() => void save()}>
                {batchWords.download(done.length)}
              </Button>
            )}
          </PageHead>
          {batch.data && (
            <div className="flex flex-col gap-2">
              <div role="progressbar" aria-label={batchWords.title} aria-valuemin={0} aria-valuemax={batch.data.images} aria-valuenow={ended} className="flex h-1.5 gap-px overflow-hidden rounded-full bg-sunken">
                <span className="bg-accent transition-[width] duration-200" style={{ width: `${(100 * batch.data.counts.succeeded) / batch.data.images}%` }} />
                <span className="bg-edge transition-[width] duration-200" style={{ width: `${(100 * (batch.data.counts.failed + batch.data.counts.canceled)) / batch.data.images}%` }} />
              </div>
              <p className="flex items-center gap-1.5 text-muted">
                {batch.data.counts.succeeded === batch.data.images && <Check size={16} aria-hidden className="text-good" />}
                {batchWords.progress(batch.data)}
              </p>
            </div>
          )}
          {failure ? <Failed error={failure} /> : null}
          {(batch.error ?? list.error) ? <Failed error={batch.error ?? list.error} retry={() => void Promise.all([batch.refetch(), list.refetch()])} /> : null}
          <div ref={box} className="relative" style={{ height }} role="list" aria-label={batchWords.images}>
            {!list.data && !list.error && (
              <div className="flex flex-wrap gap-3">
                {[1, 0.56, 1.91, 0.8].map((ratio) => (
                  <div key={ratio} style={{ width: 240 * ratio }}>
                    <Skeleton ratio={ratio} />
                  </div>
                ))}
              </div>
            )}
            {width > 0 &&
              rows.map((row) => {
                let left = 0;
                return images.slice(row.from, row.to).map((image, at) => {
                  const wide = ratios[row.from + at]! * row.height;
                  const x = left;
                  left += wide + GAP;
                  const name = of.get(image.placement)?.name ?? image.placement;
                  return (
                    <div key={image.id} role="listitem" className="absolute" style={{ top: row.top, left: x, width: wide, height: row.height }}>
                      <Tile image={image} name={name} stage={stages.get(image.id)} ahead={waiting.indexOf(image)} perImage={batch.data?.per_image ?? 0} onCancel={() => void cancel(image.id)} />
                    </div>
                  );
                });
              })}
          </div>
          {zipping !== undefined && <ZipDialog open={zipping} onClose={() => setZipping(false)} images={done} placements={placements.data ?? []} />}
        </div>
      )}
    </Frame>
  );
}
