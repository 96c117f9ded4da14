import Link from 'next/link';
import { CircleX, Clock, Trash2, X } from 'lucide-react';
import type { Schemas } from '../api/client';
import type { Stage } from '../api/notices';
import { Picture } from '../ui/advert';
import { classes, IconButton } from '../ui/basics';
import { batchWords } from '../words/batch';
import { failureWords } from '../words/failures';
import { imageWords } from '../words/image';

/** Share of the way that a stage stands for: a tile's line, not a promise of time. */
const SHARE: Record<string, number> = { queued: 0.04, waiting: 0.08, preparing: 0.15, drawing: 0.45, generating: 0.45, checking: 0.8, storing: 0.92 };

/** An image of a batch: in words how far it is, then the picture itself. */
export function Tile({ image, name, stage, ahead, perImage, onCancel }: { image: Schemas['GenerationSummary']; name: string; stage?: Stage; ahead: number; perImage: number; onCancel: () => void }) {
  if (image.deleted_at)
    return (
      <Link href={`/image?id=${image.id}`} className="flex h-full flex-col justify-end rounded-image bg-sunken p-3 hover:underline">
        <span className="flex items-start gap-1.5 font-medium">
          <Trash2 size={16} aria-hidden className="mt-0.5 shrink-0 text-muted" />
          {imageWords.inBin}
        </span>
        <span className="text-caption text-muted">{name}</span>
      </Link>
    );
  if (image.status === 'succeeded')
    return (
      <Link href={`/image?id=${image.id}`} className="group block h-full overflow-hidden rounded-image" aria-label={batchWords.open(name, image.number)}>
        <Picture src={image.links.thumbnail} alt={imageWords.alt(image, name)} eager />
      </Link>
    );
  const running = image.status === 'requested';
  return (
    <div className={classes('relative flex h-full flex-col justify-end overflow-hidden rounded-image bg-sunken p-3', running && stage && 'shimmer')}>
      {running && <IconButton icon={X} label={batchWords.cancelOne(name, image.number)} onClick={onCancel} className="absolute top-1.5 right-1.5" />}
      <p className="flex items-start gap-1.5 font-medium">
        {image.status === 'failed' && <CircleX size={16} aria-hidden className="mt-0.5 shrink-0 text-bad" />}
        {image.status === 'canceled' && <X size={16} aria-hidden className="mt-0.5 shrink-0 text-muted" />}
        {running && <Clock size={16} aria-hidden className="mt-0.5 shrink-0 text-muted" />}
        <span>{image.status === 'failed' ? batchWords.failed : image.status === 'canceled' ? batchWords.canceled : batchWords.stage(stage, ahead)}</span>
      </p>
      <p className="text-caption text-muted">
        {image.status === 'failed' && image.failure && <span className="block">{failureWords(image.failure)}</span>}
        {running ? name : batchWords.returned(perImage)}
      </p>
      {image.status === 'failed' && (
        <Link href={`/image?id=${image.id}`} aria-label={batchWords.wayOnOf(name, image.number)} className="mt-2 self-start font-medium text-accent underline-offset-2 hover:underline">
          {batchWords.wayOn}
        </Link>
      )}
      {running && (
        <span aria-hidden className="absolute inset-x-0 bottom-0 h-[3px] bg-line">
          <span className="block h-full bg-accent transition-[width] duration-500 ease-out" style={{ width: `${100 * (SHARE[stage?.stage ?? 'queued'] ?? 0.1)}%` }} />
        </span>
      )}
    </div>
  );
}
