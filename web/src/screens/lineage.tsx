import Link from 'next/link';
import type { Schemas } from '../api/client';
import { useWorkflows } from '../api/queries';
import { ratioOf, Picture } from '../ui/advert';
import { imageWords } from '../words/image';

type Relative = Schemas['LineageImage'];

function Thumbnail({ image, placement, what }: { image: Relative; placement?: Schemas['Placement']; what: string }) {
  const ratio = placement ? ratioOf(placement) : 1;
  return (
    <Link href={`/image?id=${image.id}`} className="group flex items-center gap-3 rounded-control hover:bg-sunken">
      <span className="grid h-14 w-18 shrink-0 place-items-center">
        <span className="block max-h-full max-w-full overflow-hidden rounded-[4px]" style={ratio >= 18 / 14 ? { width: '100%', aspectRatio: ratio } : { height: '100%', aspectRatio: ratio }}>
          <Picture src={image.links.thumbnail} alt="" eager />
        </span>
      </span>
      <span className="min-w-0 flex-1 py-1">
        <span className="line-clamp-2 break-words">{what}</span>
        <span className="block truncate text-caption text-muted">
          {placement?.name ?? image.placement}
          {image.status !== 'succeeded' && ` · ${imageWords.gone}`}
        </span>
      </span>
    </Link>
  );
}

/** What an image was made from, and what was made from it, with what was asked. */
export default function LineageView({ image, placements }: { image: Schemas['Generation']; placements: Schemas['Placement'][] }) {
  const workflows = useWorkflows();
  const { source, derived, factor, feedback } = image.lineage;
  const title = (name: string | null) => workflows.data?.items.flatMap((one) => one.factors).find((one) => one.name === name)?.title.toLowerCase() ?? name;
  const way = (workflow: string, asked: { factor: string | null; feedback: string | null }) => imageWords.way(workflow, { ...asked, factor: title(asked.factor) });
  const of = (id: string) => placements.find((one) => one.id === id);
  if (!source && derived.length === 0) return <p className="text-muted">{imageWords.alone}</p>;
  return (
    <div className="flex flex-col gap-4">
      {source && (
        <div className="flex flex-col gap-1.5">
          <h3 className="text-caption text-muted">{imageWords.from}</h3>
          <Thumbnail image={source} placement={of(source.placement)} what={way(image.workflow, { factor, feedback })} />
        </div>
      )}
      {derived.length > 0 && (
        <div className="flex flex-col gap-1.5">
          <h3 className="text-caption text-muted">{imageWords.derived(derived.length)}</h3>
          <ul className="flex flex-col gap-1">
            {derived.map((one) => (
              <li key={one.id}>
                <Thumbnail image={one} placement={of(one.placement)} what={way(one.workflow, one)} />
              </li>
            ))}
          </ul>
        </div>
      )}
    </div>
  );
}
