// Puts what `next build` exported into dist, each text file also as gzip and brotli:
// the api serves the smallest that a browser takes, and compresses nothing itself.
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const TEXT = /\.(html|js|css|svg|json|txt)$/;

for (const entry of await readdir('dist')) if (entry !== '.keep') await rm(join('dist', entry), { recursive: true });
await mkdir('dist', { recursive: true });
await cp('out', 'dist', { recursive: true });
// The page of styles is for who works on the screens (next dev).
await rm('dist/style.html', { force: true });

for (const entry of await readdir('dist', { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !TEXT.test(entry.name)) continue;
  const path = join(entry.parentPath, entry.name);
  const bytes = await readFile(path);
  const gzip = gzipSync(bytes, { level: 9 });
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
  if (gzip.length < bytes.length) await writeFile(path + '.gz', gzip);
  if (brotli.length < bytes.length) await writeFile(path + '.br', brotli);
}
