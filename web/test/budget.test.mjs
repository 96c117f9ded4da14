import assert from 'node:assert/strict';
import { readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { test } from 'node:test';
import { gzipSync } from 'node:zlib';

const DIST = resolve(import.meta.dirname, '../dist');

/** Bytes of JavaScript, gzip, that a page loads first, its inline scripts too; what only old browsers load is left out. */
export function firstLoad(page) {
  const html = readFileSync(`${DIST}/${page}.html`, 'utf8');
  const sources = [...html.matchAll(/<script\b([^>]*)>/g)].filter(([, attributes]) => !/nomodule/i.test(attributes)).flatMap(([, attributes]) => /src="([^"]+)"/.exec(attributes)?.[1] ?? []);
  assert.ok(sources.length > 3, `${page} has scripts`);
  const inline = [...html.matchAll(/<script>(.*?)<\/script>/gs)].map(([, text]) => text).join('\n');
  return [...new Set(sources)].reduce((sum, source) => {
    const file = DIST + decodeURI(source.split('?')[0]);
    try {
      return sum + statSync(file + '.gz').size;
    } catch {
      return sum + statSync(file).size;
    }
  }, gzipSync(inline).length);
}

test('create loads at most 155 kB of JavaScript at first', () => {
  const bytes = firstLoad('create');
  assert.ok(bytes <= 155_000, `${bytes} bytes`);
});
