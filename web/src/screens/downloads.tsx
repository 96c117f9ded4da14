// The files of an image: placements that its picture can be cut for, and those for which it
// has to be composed anew.

import { useState } from 'react';
import { Download } from 'lucide-react';
import { ApiError, type Schemas } from '../api/client';
import { useWorkflows } from '../api/queries';
import { say } from '../api/notices';
import { download } from '../download';
import { fits, overlayIn } from '../fit';
import { Chip, classes } from '../ui/basics';
import { Failed } from '../ui/failed';
import { words } from '../words';
import { batchWords } from '../words/batch';
import { imageWords } from '../words/image';
import { Outline } from './placement-picker';

const ROW = 'flex w-full items-center gap-3 rounded-control px-2 py-1.5 text-left hover:bg-sunken';

const nameOf = (placement: Schemas['Placement']) => `${words.platforms[placement.platform] ?? placement.platform} · ${placement.name}`;

function Named({ one, own }: { one: Schemas['Placement']; own?: boolean }) {
  return (
    <span className="min-w-0 flex-1">
      <span className={classes('block truncate', own && 'font-medium')}>{nameOf(one)}</span>
      <span className="numbers block text-caption text-muted">{words.pixels(one.width, one.height)}</span>
    </span>
  );
}

export function Downloads({ image, picture, placements, onAdapt }: { image: Schemas['Generation']; picture: Schemas['Image']; placements: Schemas['Placement'][]; onAdapt: (placement: string) => void }) {
  const workflows = useWorkflows();
  const [clean, setClean] = useState(false);
  const [busy, setBusy] = useState('');
  const [failure, setFailure] = useState<{ error: unknown; placement: string }>();
  const price = workflows.data?.items.find((one) => one.name === 'adapt')?.prices[image.tier];
  const fitting = placements.filter((one) => fits(picture, one)).toSorted((a, b) => Number(b.id === image.placement) - Number(a.id === image.placement));
  const unfit = placements.filter((one) => !fits(picture, one));
  const worded = !!image.layout && fitting.some((one) => overlayIn(image.layout!, one) === 'brand');

  const save = async (placement: string) => {
    if (busy) return;
    setBusy(placement);
    setFailure(undefined);
    try {
      await download(image, placement, clean ? 'none' : undefined);
      say(batchWords.saved(1, 1));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      setFailure({ error, placement });
    }
    setBusy('');
  };

  return (
    <>
      {failure && <Failed error={failure.error} retry={() => void save(failure.placement)} />}
      {worded && (
        <div role="group" aria-label={imageWords.download} className="flex gap-1.5">
          <Chip on={!clean} onClick={() => setClean(false)}>
            {imageWords.asComposed}
          </Chip>
          <Chip on={clean} onClick={() => setClean(true)}>
            {imageWords.without}
          </Chip>
        </div>
      )}
      <ul className="-mx-2 flex flex-col">
        {fitting.map((one) => (
          <li key={one.id}>
            <button type="button" aria-busy={busy === one.id || undefined} className={ROW} onClick={() => void save(one.id)}>
              <Outline ratio={one.width / one.height} size={20} on={one.id === image.placement} />
              <Named one={one} own={one.id === image.placement} />
              <Download size={16} aria-hidden className={classes('shrink-0', busy === one.id ? 'animate-pulse text-accent motion-reduce:animate-none' : 'text-muted')} />
            </button>
          </li>
        ))}
      </ul>
      {unfit.length > 0 && (
        <details>
          <summary className="rounded-control text-muted hover:text-text">{imageWords.unfit(unfit.length)}</summary>
          <p className="mt-1 text-caption text-muted">{imageWords.unfitWhy}</p>
          <ul className="-mx-2 mt-1 flex flex-col">
            {unfit.map((one) => (
              <li key={one.id}>
                <button type="button" className={ROW} aria-label={imageWords.adaptTo(nameOf(one))} onClick={() => onAdapt(one.id)}>
                  <Outline ratio={one.width / one.height} size={20} />
                  <Named one={one} />
                  <span className="text-caption font-medium text-accent">{price === undefined ? imageWords.adapt : imageWords.adaptPrice(price)}</span>
                </button>
              </li>
            ))}
          </ul>
        </details>
      )}
      <p className="text-caption text-muted">{imageWords.original(picture.width, picture.height, picture.bytes)}</p>
    </>
  );
}
