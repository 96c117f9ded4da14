import { useBrands, type Brand } from './api/queries';
import { keep, useKept } from './kept';

/** The brand that one works with: the one chosen last, else the first. */
export function useCurrentBrand(): { brand: Brand | undefined; brands: Brand[] | undefined; choose: (id: string) => void } {
  const { data: brands } = useBrands();
  const chosen = useKept<string>('brand');
  const brand = brands?.find((one) => one.id === chosen) ?? brands?.[0];
  return { brand, brands, choose: (id) => keep('brand', id) };
}
