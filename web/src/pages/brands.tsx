import Link from 'next/link';
import { useState } from 'react';
import { useQueryClient } from '@tanstack/react-query';
import { Archive, ArchiveRestore, Plus } from 'lucide-react';
import client, { decided, newKey } from '../api/client';
import { say } from '../api/notices';
import { keys, refresh, useAsset, useBrands, type Brand } from '../api/queries';
import { completeness } from '../screens/completeness';
import { Button, ButtonLink, Chip, Empty, PageHead, Skeleton } from '../ui/basics';
import { Failed } from '../ui/failed';
import { Frame } from '../ui/frame';
import { words } from '../words';
import { brandWords } from '../words/brand';

function Row({ brand, onArchive, busy }: { brand: Brand; onArchive: () => void; busy: boolean }) {
  const logo = useAsset(brand.kit?.logo_asset_id);
  const { done, of } = completeness(brand.kit);
  return (
    <li className="flex flex-wrap items-center gap-x-5 gap-y-2 py-3">
      <span className="grid size-12 shrink-0 place-items-center overflow-hidden rounded-image border bg-[#fff]">{logo.data && <img src={logo.data.links.file} alt="" className="h-full w-full object-contain p-1" />}</span>
      <div className="min-w-0 flex-1 max-sm:basis-[70%]">
        {brand.archived ? (
          <span className="font-medium">{brand.kit?.name ?? words.erased}</span>
        ) : (
          <Link href={`/brand?id=${brand.id}`} className="text-lead font-medium hover:underline">
            {brand.kit?.name ?? words.erased}
          </Link>
        )}
        <p className="truncate text-muted">{brand.kit?.tagline || brandWords.version(brand.version)}</p>
      </div>
      <span aria-hidden className="flex overflow-hidden rounded-control border">
        {brand.kit?.colours?.slice(0, 6).map((colour, at) => <span key={at} className="h-6 w-6" style={{ background: colour.hex }} />)}
      </span>
      <span className="numbers w-28 text-right text-muted max-sm:text-left">{brandWords.complete(done, of)}</span>
      <Button kind="quiet" busy={busy} icon={brand.archived ? ArchiveRestore : Archive} onClick={onArchive}>
        {brand.archived ? brandWords.restore : brandWords.archive}
      </Button>
    </li>
  );
}

export default function Brands() {
  const [archived, setArchived] = useState(false);
  const brands = useBrands(archived);
  const queries = useQueryClient();
  const [busy, setBusy] = useState('');
  const [failure, setFailure] = useState<unknown>();
  const toggle = async (brand: Brand) => {
    setBusy(brand.id);
    setFailure(undefined);
    try {
      const params = { path: { brand_id: brand.id }, header: { 'Idempotency-Key': newKey() } };
      await decided(brand.archived ? client.POST('/v1/brands/{brand_id}/restore', { params }) : client.DELETE('/v1/brands/{brand_id}', { params }));
      await refresh(queries, keys.brands);
      say(brand.archived ? brandWords.restored(brand.kit?.name ?? '') : brandWords.archivedSaid(brand.kit?.name ?? ''));
    } catch (error) {
      setFailure(error);
    }
    setBusy('');
  };
  return (
    <Frame title={words.nav.brands}>
      <div className="flex max-w-5xl flex-col gap-6">
        <PageHead title={words.nav.brands}>
          <Chip on={archived} onClick={() => setArchived(!archived)}>
            {brandWords.archivedOnes}
          </Chip>
          <ButtonLink kind="primary" icon={Plus} href="/brand">
            {words.noBrand.action}
          </ButtonLink>
        </PageHead>
        {failure ? <Failed error={failure} /> : null}
        {brands.error ? (
          <Failed error={brands.error} retry={() => void brands.refetch()} />
        ) : !brands.data ? (
          <div className="flex flex-col gap-3">
            {[1, 2].map((n) => (
              <div key={n} className="h-16">
                <Skeleton className="h-full" />
              </div>
            ))}
          </div>
        ) : brands.data.length === 0 ? (
          archived ? (
            <Empty title={brandWords.noArchived} />
          ) : (
            <Empty title={words.noBrand.title} action={<ButtonLink kind="primary" href="/brand">{words.noBrand.action}</ButtonLink>}>
              {words.noBrand.text}
            </Empty>
          )
        ) : (
          <ul className="divide-y border-y">
            {brands.data.map((brand) => (
              <Row key={brand.id} brand={brand} busy={busy === brand.id} onArchive={() => void toggle(brand)} />
            ))}
          </ul>
        )}
      </div>
    </Frame>
  );
}
