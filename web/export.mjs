// Puts what `next build` exported into dist, each text file also as gzip and brotli:
// the api serves the smallest that a browser takes, and compresses nothing itself. What a
// page loads first says that it is all needed. A browser makes six requests at a time, so the
// largest script comes first, and the short lists of which script is whose stand in the page.
import { cp, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
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

/** The path in dist of what a page asks for. */
const pathOf = (source) => join('dist', source);

const first = new Set();
for (const name of await readdir('dist')) {
  if (!name.endsWith('.html')) continue;
  let page = await readFile(join('dist', name), 'utf8');
  const scripts = [...page.matchAll(/<script src="(\/_next\/static\/chunks\/[^"]+)" defer=""><\/script>/g)].map(([tag, source]) => ({ tag, path: pathOf(source) }));
  for (const script of scripts) {
    first.add(script.path);
    script.bytes = (await stat(script.path)).size;
  }
  const asked = scripts.map(({ tag }) => tag).join('');
  if (!page.includes(asked)) throw new Error(`${name} asks for its scripts in several places: what the export looks like has changed`);
  // Those before Turbopack's runtime only register what is in them; it comes last and starts the page.
  const runtime = ({ path }) => path.includes('/turbopack-');
  if (scripts.filter(runtime).length !== 1) throw new Error(`${name} has not one runtime: what the export looks like has changed`);
  scripts.sort((a, b) => runtime(a) - runtime(b) || b.bytes - a.bytes);
  page = page.replace(asked, () => scripts.map(({ tag }) => tag).join(''));
  const lists = [...page.matchAll(/<script src="(\/_next\/static\/atelier\/[^"]+)" defer=""><\/script>/g)];
  if (lists.length === 0) throw new Error(`${name} has no lists of scripts: what the export looks like has changed`);
  for (const [tag, source] of lists) {
    const text = await readFile(pathOf(source), 'utf8');
    page = page.replace(tag, () => `<script>${text}</script>`);
  }
  await writeFile(join('dist', name), page);
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
