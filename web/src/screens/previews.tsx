import type { Schemas } from '../api/client';
import { useGenerations } from '../api/lists';
import { useAsset, type Brand } from '../api/queries';
import type { Draft } from '../draft';
import { Overlay, Picture, ratioOf, SafeZone, SampleScene } from '../ui/advert';
import { createWords } from '../words/create';

/** Height of a row of previews, pixels: the most, and the least at which one more still fits. */
const ROW = { most: 300, least: 200 };

/** The chosen placements in their true ratios, with the copy set as it will be. */
export default function Previews({ placements, draft, brand, zones }: { placements: Schemas['Placement'][]; draft: Draft; brand: Brand; zones: boolean }) {
  const logo = useAsset(brand.kit?.logo_asset_id);
  const last = useGenerations({ brand_id: brand.id, status: 'succeeded' });
  const images = last.data?.pages[0]?.items ?? [];
  return (
    <ul className="flex flex-wrap gap-4">
      {placements.map((placement) => {
        const ratio = ratioOf(placement);
        const image = images.find((one) => one.placement === placement.id) ?? images.find((one) => one.image && Math.abs(one.image.width / one.image.height - ratio) < 0.1);
        return (
          <li key={placement.id} className="enter flex flex-col gap-1.5" style={{ flex: `${ratio} 1 ${ROW.least * ratio}px`, maxWidth: `min(100%, ${ROW.most * ratio}px)` }}>
            <div className="group/advert relative overflow-hidden rounded-image" tabIndex={0} role="img" aria-label={createWords.previewOf(placement.name)} style={{ aspectRatio: ratio }}>
              {image ? <Picture src={image.links.thumbnail} alt="" /> : <SampleScene kit={brand.kit} ratio={ratio} />}
              <Overlay placement={placement} kit={brand.kit} headline={draft.headline} callToAction={draft.call_to_action} logo={logo.data?.links.file} />
              <SafeZone zone={placement.safe_zone} shown={zones} />
            </div>
            <p className="text-caption text-muted">{placement.name}</p>
          </li>
        );
      })}
    </ul>
  );
}

