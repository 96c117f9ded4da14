import Link from 'next/link';
import { useRouter } from 'next/router';
import { useState } from 'react';
import { ArrowLeft, ZoomIn, ZoomOut } from 'lucide-react';
import type { Schemas } from '../api/client';
import { useGeneration, usePlacements } from '../api/queries';
import { useKeys } from '../keyboard';
import { ReceiptView } from '../screens/receipt';
import { ButtonLink, Empty, IconButton, Skeleton } from '../ui/basics';
import { Failed } from '../ui/failed';
import { Frame } from '../ui/frame';
import { words } from '../words';
import { compareWords } from '../words/compare';
import { imageWords } from '../words/image';

const MOST = 4;
const ZOOM_MOST = 4;

/** The checks whose verdicts are not the same for all images, or that only some went through. */
function differingChecks(images: (Schemas['Generation'] | undefined)[]): ReadonlySet<string> {
  const all = images.map((image) => new Map(image?.receipt?.attempts.at(-1)?.verdicts.map((one) => [one.check, one.verdict])));
  const checks = new Set(all.flatMap((verdicts) => [...verdicts.keys()]));
  return new Set([...checks].filter((check) => new Set(all.map((verdicts) => verdicts.get(check))).size > 1));
}

function Side({ id, zoom, place, differing, onPan }: { id: string; differing: ReadonlySet<string>; zoom: number; place: { x: number; y: number }; onPan: (x: number, y: number) => void }) {
  const image = useGeneration(id);
  const placements = usePlacements();
  if (image.error) return <Failed error={image.error} retry={() => void image.refetch()} />;
  const data = image.data;
  const name = placements.data?.find((one) => one.id === data?.placement)?.name ?? '';
  const ratio = data?.image ? data.image.width / data.image.height : 1;
  return (
    <figure className="flex min-w-0 flex-col gap-3" style={{ flex: `${ratio} 1 0` }}>
      <div
        className="overflow-hidden rounded-image bg-sunken"
        style={{ aspectRatio: ratio }}
        onPointerMove={(event) => {
          const box = event.currentTarget.getBoundingClientRect();
          onPan((event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height);
        }}
      >
        {data?.links.thumbnail ? (
          <img src={data.links.thumbnail} alt={imageWords.alt(data, name)} className="h-full w-full object-cover transition-transform duration-120" style={{ scale: String(zoom), transformOrigin: `${place.x * 100}% ${place.y * 100}%` }} />
        ) : (
          <Skeleton ratio={ratio} />
        )}
      </div>
      <figcaption className="flex flex-col gap-3">
        <Link href={`/image?id=${id}`} className="font-medium hover:underline">
          {data ? imageWords.heading(data) : ' '} <span className="font-normal text-muted">{name}</span>
        </Link>
        {data?.receipt && <ReceiptView receipt={data.receipt} differing={differing} />}
      </figcaption>
    </figure>
  );
}

export default function Compare() {
  const router = useRouter();
  const ids = (typeof router.query.ids === 'string' ? router.query.ids.split(',') : []).filter(Boolean).slice(0, MOST);
  const images = [useGeneration(ids[0]), useGeneration(ids[1]), useGeneration(ids[2]), useGeneration(ids[3])].slice(0, ids.length).map((one) => one.data);
  const differing = images.every(Boolean) ? differingChecks(images) : new Set<string>();
  const [zoom, setZoom] = useState(1);
  const [place, setPlace] = useState({ x: 0.5, y: 0.5 });
  const nearer = () => setZoom(Math.min(ZOOM_MOST, zoom * 1.5));
  const farther = () => setZoom(Math.max(1, zoom / 1.5));
  useKeys((event) => {
    if (event.key === 'Escape') router.back();
    else if (event.key === '+' || event.key === '=') nearer();
    else if (event.key === '-') farther();
    else return;
    event.preventDefault();
  });
  return (
    <Frame title={compareWords.title}>
      <div className="flex flex-col gap-6">
        <header className="flex items-center justify-between gap-4">
          <h1 id="title" tabIndex={-1} className="text-display font-semibold">
            {compareWords.title}
          </h1>
          <div className="flex items-center gap-1">
            <IconButton icon={ZoomOut} label={imageWords.zoomOut} disabled={zoom <= 1} onClick={farther} />
            <IconButton icon={ZoomIn} label={imageWords.zoomIn} disabled={zoom >= ZOOM_MOST} onClick={nearer} />
            <ButtonLink href="/gallery" icon={ArrowLeft}>
              {words.nav.gallery}
            </ButtonLink>
          </div>
        </header>
        {router.isReady && ids.length < 2 ? (
          <Empty title={compareWords.fewTitle} action={<ButtonLink kind="primary" href="/gallery">{words.nav.gallery}</ButtonLink>}>
            {compareWords.few}
          </Empty>
        ) : (
          <div className="flex items-start gap-4 max-sm:flex-col max-sm:items-stretch">
            {ids.map((id) => (
              <Side key={id} id={id} differing={differing} zoom={zoom} place={place} onPan={(x, y) => zoom > 1 && setPlace({ x, y })} />
            ))}
          </div>
        )}
      </div>
    </Frame>
  );
}
