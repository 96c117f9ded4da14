import type { Schemas } from '../api/client';
import type { Stage } from '../api/notices';
import { waitWords } from './failures';
import { credits, images, number, plural } from './formats';

export const batchWords = {
  title: 'Batch',
  images: 'Images of the batch',
  asked: (batch: Schemas['Batch']) => {
    const brief = batch.brief as { headline?: string; product?: string } | null;
    return brief?.headline || brief?.product || images(batch.images);
  },
  of: (done: number, all: number) => `${number(done)} of ${number(all)}`,
  money: ({ images: asked, counts, credits: money }: Schemas['Batch']) =>
    `${number(asked)} asked, ${number(counts.succeeded)} passed · ${credits(money.captured)} paid${money.held ? `, ${number(money.held)} held` : ''}${money.released ? `, ${number(money.released)} returned` : ''}`,
  progress: ({ images: asked, counts }: Schemas['Batch']) =>
    counts.open === 0
      ? [`${number(counts.succeeded)} of ${images(asked)} ready`, counts.failed ? `${number(counts.failed)} failed` : '', counts.canceled ? `${number(counts.canceled)} canceled` : ''].filter(Boolean).join(', ') + '.'
      : `${number(asked - counts.open)} of ${number(asked)} done. You can leave; they go on.`,
  stage: (stage: Stage | undefined, ahead: number): string => {
    const wait = waitWords(stage?.reason);
    if (wait) return `Waiting: ${wait}`;
    switch (stage?.stage) {
      case 'generating':
        return stage.attempt > 1 ? (stage.attempt === 2 ? 'Second try' : 'Third try') : 'Drawing';
      case 'checking':
        return 'Checking';
      case 'retrying':
        return stage.attempt > 1 ? 'Third try' : 'Second try';
      case 'storing':
        return 'Almost done';
      default:
        return ahead > 0 ? `Waiting: ${number(ahead)} of yours before it` : 'Waiting';
    }
  },
  failed: 'Failed',
  canceled: 'Canceled',
  returned: (price: number) => `${credits(price)} returned`,
  open: (placement: string, at: number) => `Open ${placement}, number ${at}`,
  wayOn: 'Try again or change the brief',
  wayOnOf: (placement: string, at: number) => `Try again or change the brief: ${placement}, number ${at}`,
  cancelOne: (placement: string, at: number) => `Cancel ${placement}, number ${at}`,
  cancelRest: (open: number) => `Cancel the rest (${number(open)})`,
  again: 'Make more',
  zip: 'Download as ZIP',
  download: (count: number) => (count === 1 ? 'Download' : `Download ${number(count)} files`),
  saved: (done: number, all: number) => `${number(done)} of ${plural(all, 'file', 'files')} saved.`,
  goneTitle: 'No such batch',
  gone: 'The address is wrong, or the batch belongs to somebody else.',
};
