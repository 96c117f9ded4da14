// Puts what `next build` exported into dist, each text file also as gzip and brotli:
// the api serves the smallest that a browser takes, and compresses nothing itself. What a
// page loads first says that it is all needed.
import { cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

/**
 * Chromium (136 and later) then compiles a script whole and beside the page, not function by
 * function as each is called: 30 of the 43 ms of the first task, a seventh of a second on a phone.
 * https://v8.dev/blog/explicit-compile-hints
 */
const NEEDED = '//# allFunctionsCalledOnLoad\n';

const TEXT = /\.(html|js|css|svg|json|txt)$/;

for (const entry of await readdir('dist')) if (entry !== '.keep') await rm(join('dist', entry), { recursive: true });
await mkdir('dist', { recursive: true });
await cp('out', 'dist', { recursive: true });
// The page of styles is for who works on the screens (next dev).
await rm('dist/style.html', { force: true });

const first = new Set();
for (const name of await readdir('dist')) {
  if (!name.endsWith('.html')) continue;
  for (const [, source] of (await readFile(join('dist', name), 'utf8')).matchAll(/<script src="(\/_next\/static\/chunks\/[^"]+)"/g)) first.add(join('dist', source));
}
if (first.size === 0) throw new Error('no page has a script: what the export looks like has changed');
for (const path of first) await writeFile(path, NEEDED + (await readFile(path, 'utf8')));

for (const entry of await readdir('dist', { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !TEXT.test(entry.name)) continue;
  const path = join(entry.parentPath, entry.name);
  const bytes = await readFile(path);
  const gzip = gzipSync(bytes, { level: 9 });
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } });
  if (gzip.length < bytes.length) await writeFile(path + '.gz', gzip);
  if (brotli.length < bytes.length) await writeFile(path + '.br', brotli);
}
