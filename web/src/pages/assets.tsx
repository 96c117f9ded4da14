import { useEffect, useRef, useState } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { CircleX, Trash2, Upload } from 'lucide-react';
import client, { ApiError, decided, newKey, type Schemas } from '../api/client';
import { say } from '../api/notices';
import { useAssets } from '../api/lists';
import { keys, refresh } from '../api/queries';
import { isTyping } from '../keyboard';
import { ACCEPTED, upload } from '../screens/upload';
import { Button, Chip, classes, Empty, IconButton, PageHead, Skeleton } from '../ui/basics';
import { Dialog } from '../ui/dialog';
import { Failed } from '../ui/failed';
import { Frame } from '../ui/frame';
import { words } from '../words';
import { assetsWords } from '../words/assets';

type Kind = Schemas['AssetKind'];
type Sending = { id: number; name: string; share: number; error?: string };

const KINDS: Kind[] = ['product', 'reference', 'logo'];

/** Files that one drop may bring (count): the api takes 10 uploads a minute. */
const FILES_MOST = 10;

export default function Assets() {
  const [kind, setKind] = useState<Kind>('product');
  const assets = useAssets({ kind });
  const queries = useQueryClient();
  const [sending, setSending] = useState<Sending[]>([]);
  const [over, setOver] = useState(false);
  const [removing, setRemoving] = useState<Schemas['Asset']>();
  const [failure, setFailure] = useState<unknown>();
  const input = useRef<HTMLInputElement>(null);
  const count = useRef(0);

  const take = async (files: File[]) => {
    // All are shown at once, and go one after the other.
    const taken = files.slice(0, FILES_MOST).map((file) => ({ file, id: ++count.current }));
    setSending((all) => [...all, ...taken.map(({ file, id }) => ({ id, name: file.name, share: 0 }))]);
    for (const { file, id } of taken) {
      const note = (part: Partial<Sending>) => setSending((all) => all.map((one) => (one.id === id ? { ...one, ...part } : one)));
      if (!ACCEPTED.includes(file.type)) {
        note({ error: assetsWords.wrongType });
        say(assetsWords.refused(file.name, assetsWords.wrongType));
        continue;
      }
      try {
        await upload(file, { kind, name: file.name.replace(/\.\w+$/, '').slice(0, 100) }, (share) => note({ share }));
        setSending((all) => all.filter((one) => one.id !== id));
        say(assetsWords.added(file.name));
      } catch (error) {
        const text = words.errorOf(error as ApiError).text;
        note({ error: text });
        say(assetsWords.refused(file.name, text));
      }
      await refresh(queries, keys.assets);
    }
    if (files.length > FILES_MOST) say(assetsWords.tooMany(FILES_MOST));
  };
  const latest = useRef(take);
  latest.current = take;
  useEffect(() => {
    const pasted = (event: ClipboardEvent) => {
      if (isTyping(event.target)) return;
      const files = [...(event.clipboardData?.files ?? [])];
      if (files.length) void latest.current(files);
    };
    window.addEventListener('paste', pasted);
    return () => window.removeEventListener('paste', pasted);
  }, []);

  const remove = async () => {
    if (!removing) return;
    setFailure(undefined);
    try {
      await decided(client.DELETE('/v1/assets/{asset_id}', { params: { path: { asset_id: removing.id }, header: { 'Idempotency-Key': newKey() } } }));
      say(assetsWords.removed(removing.name));
    } catch (error) {
      setFailure(error);
    }
    setRemoving(undefined);
    await refresh(queries, keys.assets);
  };
  const all = assets.data?.pages.flatMap((page) => page.items) ?? [];
  return (
    <Frame title={words.nav.assets}>
      <div
        className="flex min-h-[70dvh] flex-col gap-6"
        onDragOver={(event) => {
          event.preventDefault();
          setOver(true);
        }}
        onDragLeave={(event) => !event.currentTarget.contains(event.relatedTarget as Node) && setOver(false)}
        onDrop={(event) => {
          event.preventDefault();
          setOver(false);
          void take([...event.dataTransfer.files]);
        }}
      >
        <PageHead title={words.nav.assets} note={assetsWords.note}>
          <Button kind="primary" icon={Upload} onClick={() => input.current?.click()}>
            {assetsWords.upload}
          </Button>
          <input
            ref={input}
            type="file"
            accept={ACCEPTED.join(',')}
            multiple
            aria-label={assetsWords.upload}
            className="sr-only"
            tabIndex={-1}
            onChange={(event) => {
              void take([...(event.target.files ?? [])]);
              event.target.value = '';
            }}
          />
        </PageHead>
        <div role="group" aria-label={assetsWords.kind} className="flex flex-wrap gap-2">
          {KINDS.map((one) => (
            <Chip key={one} on={kind === one} onClick={() => setKind(one)}>
              {assetsWords.kinds[one]}
            </Chip>
          ))}
        </div>
        {failure ? <Failed error={failure} /> : null}
        {sending.length > 0 && (
          <ul className="flex max-w-160 flex-col divide-y border-y">
            {sending.map((one) => (
              <li key={one.id} className="flex items-center gap-3 py-2">
                {one.error && <CircleX size={16} aria-hidden className="shrink-0 text-bad" />}
                <div className="min-w-0 flex-1">
                  <p className="truncate font-medium">{one.name}</p>
                  {one.error ? (
                    <p className="text-bad">{one.error}</p>
                  ) : (
                    <span role="progressbar" aria-label={one.name} aria-valuenow={Math.round(one.share * 100)} className="mt-1 block h-1 overflow-hidden rounded-full bg-sunken">
                      <span className="block h-full bg-accent transition-[width] duration-200" style={{ width: `${one.share * 100}%` }} />
                    </span>
                  )}
                </div>
                {one.error && (
                  <Button kind="quiet" onClick={() => setSending(sending.filter((other) => other !== one))}>
                    {words.dismiss}
                  </Button>
                )}
              </li>
            ))}
          </ul>
        )}
        {assets.error ? (
          <Failed error={assets.error} retry={() => void assets.refetch()} />
        ) : !assets.data ? (
          <ul className="grid grid-cols-[repeat(auto-fill,minmax(140px,1fr))] gap-3">
            {[1, 2, 3].map((n) => (
              <li key={n}>
                <Skeleton ratio={1} />
              </li>
            ))}
          </ul>
        ) : all.length === 0 ? (
          <div className={classes('rounded-panel border border-dashed', over ? 'border-accent bg-accent-soft' : 'border-edge')}>
            <Empty title={assetsWords.emptyTitle(kind)} action={<Button kind="primary" icon={Upload} onClick={() => input.current?.click()}>{assetsWords.upload}</Button>}>
              {assetsWords.empty}
            </Empty>
          </div>
        ) : (
          <ul className={classes('grid grid-cols-[repeat(auto-fill,minmax(140px,1fr))] gap-x-3 gap-y-5 rounded-panel', over && 'outline-2 outline-offset-8 outline-accent outline-dashed')}>
            {all.map((asset) => (
              <li key={asset.id} className="group flex flex-col gap-1.5">
                <div className="relative aspect-square overflow-hidden rounded-image border bg-surface">
                  <img src={asset.links.file} alt={asset.name || assetsWords.kinds[asset.kind]} loading="lazy" decoding="async" className="h-full w-full object-contain p-2" />
                  <IconButton icon={Trash2} label={assetsWords.remove(asset.name)} onClick={() => setRemoving(asset)} className="absolute top-1.5 right-1.5 bg-raised opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 pointer-coarse:opacity-100" />
                </div>
                <p className="truncate">{asset.name || assetsWords.kinds[asset.kind]}</p>
                <p className="numbers text-caption text-muted">{words.pixels(asset.image.width, asset.image.height)}</p>
              </li>
            ))}
          </ul>
        )}
        {assets.hasNextPage && (
          <Button className="self-center" busy={assets.isFetchingNextPage} onClick={() => void assets.fetchNextPage()}>
            {words.showMore}
          </Button>
        )}
      </div>
      <Dialog
        open={!!removing}
        onClose={() => setRemoving(undefined)}
        title={assetsWords.removeTitle}
        actions={
          <>
            <Button onClick={() => setRemoving(undefined)}>{words.keep}</Button>
            <Button kind="bad" onClick={() => void remove()}>
              {assetsWords.removeIt}
            </Button>
          </>
        }
      >
        <p>{assetsWords.removeText(removing?.name ?? '')}</p>
      </Dialog>
    </Frame>
  );
}
