import { useId } from 'react';
import { ChevronsUpDown } from 'lucide-react';
import { roleColour } from '../colour';
import { useCurrentBrand } from '../current-brand';
import { words } from '../words';

export function BrandMark({ colour, size = 18 }: { colour?: string; size?: number }) {
  return <span aria-hidden className="inline-block shrink-0 rounded-control border" style={{ width: size, height: size, background: colour ?? 'var(--sunken)' }} />;
}

/** Which brand one works with. A native select lies over the drawn one; its place is kept where there is none. */
export function BrandSwitch() {
  const { brand, brands, choose } = useCurrentBrand();
  const id = useId();
  if (!brand) return <span className="block h-9" />;
  return (
    <div className="relative flex h-9 items-center gap-3 rounded-control px-2.5 hover:bg-sunken has-focus-visible:outline-2 has-focus-visible:outline-accent" title={brand.kit?.name}>
      <BrandMark colour={roleColour(brand.kit, 'primary')} />
      <span className="flex-1 truncate sm:max-lg:sr-only">{brand.kit?.name ?? words.erased}</span>
      <ChevronsUpDown size={14} aria-hidden className="shrink-0 text-muted sm:max-lg:hidden" />
      <label htmlFor={id} className="sr-only">
        {words.frame.switchBrand}
      </label>
      <select id={id} value={brand.id} onChange={(event) => choose(event.target.value)} className="absolute inset-0 cursor-pointer opacity-0">
        {brands?.map((one) => (
          <option key={one.id} value={one.id}>
            {one.kit?.name ?? words.erased}
          </option>
        ))}
      </select>
    </div>
  );
}
