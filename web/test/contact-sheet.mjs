// Twelve files as they are delivered, on one picture for docs/outputs.jpg: three brands, each
// with a brief of its own, in all placements.

import { resolve } from 'node:path';
import { House, openBrowser, PATIENCE } from './house.mjs';
import { disc } from './tour.mjs';

const OUT = resolve(import.meta.dirname, '../../docs/outputs.jpg');
const WIDTH = 1270;
const JPEG_QUALITY = 70;
const SALES = [
  {
    email: 'solstice@example.com', // has the sample brand
    brief: { product: 'A bottle of cold-brewed green tea, glass, with a cork', headline: 'Slow mornings, poured', call_to_action: 'Shop now', scene: 'Morning light on a wooden table' },
    placements: ['meta_feed_square', 'meta_story', 'google_landscape', 'google_portrait'],
  },
  {
    email: 'fjord@example.com',
    kit: { name: 'Fjord', colours: [{ hex: '#16324a', role: 'primary' }, { hex: '#e2a33b', role: 'accent' }, { hex: '#e9eef2', role: 'background' }], voice: 'Calm, exact.' },
    logo: [[22, 50, 74], [226, 163, 59]],
    brief: { product: 'A jar of face cream for cold days', headline: 'Made for the north wind', call_to_action: 'Learn more', scene: 'Cold side light' },
    placements: ['meta_feed_portrait', 'meta_reel', 'google_square', 'google_landscape'],
  },
  {
    email: 'marlo@example.com',
    kit: { name: 'Marlo', colours: [{ hex: '#7a2e3b', role: 'primary' }, { hex: '#f2c9b8', role: 'accent' }, { hex: '#fbf3ee', role: 'background' }], voice: 'Warm, festive.' },
    logo: [[122, 46, 59], [242, 201, 184]],
    brief: { product: 'A box of hand-made pralines', headline: 'Twelve small reasons to stay', call_to_action: 'Give a box', scene: 'Evening light' },
    placements: ['meta_feed_square', 'meta_story', 'google_vertical', 'google_landscape'],
  },
];

/** Asks until look returns something. */
async function until(look) {
  for (const end = Date.now() + PATIENCE; Date.now() < end; ) {
    const found = await look();
    if (found) return found;
  }
  throw new Error(`nothing came within ${PATIENCE} ms: ${look}`);
}

async function brandOf({ call, token }, house, { kit, logo }) {
  if (!kit) return until(async () => (await call('GET', '/v1/brands')).body.items?.[0]?.id);
  const form = new FormData();
  form.set('kind', 'logo');
  form.set('file', new Blob([disc(...logo)], { type: 'image/png' }), 'logo.png');
  const asset = await (await fetch(`${house.base}/v1/assets`, { method: 'POST', headers: { Authorization: `Bearer ${token}` }, body: form })).json();
  return (await call('POST', '/v1/brands', { kit: { ...kit, logo_asset_id: asset.id } })).body.id;
}

/** The files of a sale, each in its own placement. */
async function made(house, sale) {
  const person = await house.person(sale.email);
  const { call, token } = person;
  const brand = await brandOf(person, house, sale);
  const asked = await call('POST', '/v1/generations', { brand_id: brand, brief: sale.brief, placements: sale.placements, max_credits: 100 });
  if (asked.status !== 201) throw new Error(JSON.stringify(asked.body));
  await until(async () => (await call('GET', `/v1/batches/${asked.body.batch_id}`)).body.counts?.open === 0);
  const files = [];
  for (const { id, placement } of asked.body.generations) {
    const file = await until(async () => {
      const answer = await fetch(`${house.base}/v1/generations/${id}/file?placement=${placement}`, { headers: { Authorization: `Bearer ${token}` } });
      return answer.ok && Buffer.from(await answer.arrayBuffer());
    });
    files.push({ placement, url: `data:image/jpeg;base64,${file.toString('base64')}` });
  }
  return files;
}

const house = await House.start({ ATELIER_LIMIT_READS: '100000' });
const browser = await openBrowser();
try {
  const rows = [];
  for (const sale of SALES) rows.push(await made(house, sale));
  const page = await browser.newPage({ viewport: { width: WIDTH, height: 400 } });
  await page.setContent(`<style>
    body { margin: 0; padding: 16px; background: #f4f4f2; font: 12px sans-serif; color: #444 }
    div { display: flex; gap: 12px; align-items: flex-end; margin-bottom: 16px; justify-content: space-between }
    figure { margin: 0 } img { display: block; height: 280px; border-radius: 4px } figcaption { margin-top: 4px }
  </style>${rows.map((files) => `<div>${files.map(({ placement, url }) => `<figure><img src="${url}"><figcaption>${placement}</figcaption></figure>`).join('')}</div>`).join('')}`);
  await page.waitForFunction(() => [...document.images].every((image) => image.complete));
  await page.screenshot({ path: OUT, fullPage: true, type: 'jpeg', quality: JPEG_QUALITY });
} finally {
  await browser.close();
  await house.stop();
}
