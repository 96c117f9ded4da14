import { useAssets } from '../api/lists';
import { MOST } from '../draft';
import { classes } from '../ui/basics';
import { assetsWords } from '../words/assets';
import { createWords } from '../words/create';

/** The pictures that a brief may refer to. Loaded after the form. */
export default function References({ chosen, onChange }: { chosen: string[]; onChange: (ids: string[]) => void }) {
  const assets = useAssets();
  const all = (assets.data?.pages.flatMap((page) => page.items) ?? []).filter((asset) => asset.kind !== 'logo');
  if (all.length === 0) return <p className="text-muted">{createWords.noReferences}</p>;
  return (
    <ul className="grid grid-cols-[repeat(auto-fill,minmax(72px,1fr))] gap-2">
      {all.map((asset) => {
        const on = chosen.includes(asset.id);
        return (
          <li key={asset.id}>
            <button
              type="button"
              aria-pressed={on}
              aria-label={asset.name || assetsWords.kinds[asset.kind]}
              disabled={!on && chosen.length >= MOST.references}
              onClick={() => onChange(on ? chosen.filter((id) => id !== asset.id) : [...chosen, asset.id])}
              className={classes('block aspect-square w-full overflow-hidden rounded-image border-2 bg-sunken disabled:opacity-50', on ? 'border-accent' : 'border-transparent hover:border-edge')}
            >
              <img src={asset.links.file} alt="" loading="lazy" className="h-full w-full object-cover" />
            </button>
          </li>
        );
      })}
    </ul>
  );
}
