// Every screen and state, each with what shows that it is there: for the tests of
// accessibility and for the pictures of `make screens`.

import { deflateSync } from 'node:zlib';
import { newProfile } from './house.mjs';
import { arrive, asFailed, endInEveryWay, holdBack, makeButton, makeSample, problem, stillRunning, withHistory } from './scenes.mjs';

const main = (page) => page.getByRole('main');
const heading = (page, name) => page.getByRole('heading', { name, exact: true });

/** A PNG of one colour with a disc of another: a logo, or a product on its ground. */
export function disc(ground, ink, size = 512) {
  const rows = Buffer.alloc(size * (1 + 3 * size));
  for (let y = 0; y < size; y++)
    for (let x = 0; x < size; x++) rows.set(Math.hypot(x - size / 2, y - size / 2) < size * 0.36 ? ink : ground, y * (1 + 3 * size) + 1 + 3 * x);
  const crc = (bytes) => {
    let sum = ~0;
    for (const byte of bytes) {
      sum ^= byte;
      for (let k = 0; k < 8; k++) sum = (sum >>> 1) ^ (0xedb88320 & -(sum & 1));
    }
    return ~sum >>> 0;
  };
  const chunk = (type, data) => {
    const out = Buffer.alloc(12 + data.length);
    out.writeUInt32BE(data.length, 0);
    out.write(type, 4, 'latin1');
    data.copy(out, 8);
    out.writeUInt32BE(crc(out.subarray(4, 8 + data.length)), 8 + data.length);
    return out;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(size, 0);
  header.writeUInt32BE(size, 4);
  header.set([8, 2, 0, 0, 0], 8);
  return Buffer.concat([Buffer.from('89504e470d0a1a0a', 'hex'), chunk('IHDR', header), chunk('IDAT', deflateSync(rows)), chunk('IEND', Buffer.alloc(0))]);
}

/** People with what the tour shows: one with images, one who has just come. */
export async function prepare(browser, house) {
  const maker = await arrive(browser, house, 'maker@example.com');
  const made = await makeSample(maker);
  await maker.go('/assets');
  await maker.page.locator('input[type=file]').setInputFiles({ name: 'Tin.png', mimeType: 'image/png', buffer: disc([240, 233, 220], [47, 93, 80]) });
  await maker.page.getByRole('img', { name: 'Tin' }).waitFor();
  const brand = (await maker.person.call('GET', '/v1/brands')).body.items[0];
  await maker.context.close();
  return { made, brand: brand.id };
}

const MAKER = 'maker@example.com';
const image = ({ made }) => made.images[0].id;
const square = ({ made }) => made.images.find(({ placement }) => placement === 'meta_feed_square').id;
const panel = (name) => (world) => `/image?id=${square(world)}&panel=${name}`;
/** Waits until a layout's preview is shown and nothing is under way. */
export const previewed = (page) => page.waitForFunction(() => document.querySelector('[role=tabpanel][aria-busy=false] > div > img, [role=group][aria-busy=false] > div > img')?.complete);
const way = (name) => (page) => page.getByRole('tab', { name, exact: true }).click();
const openZip = async (page) => {
  await page.getByRole('button', { name: 'Download as ZIP' }).click();
  await page.getByRole('dialog', { name: 'Download as ZIP' }).waitFor();
};
const refuse = (status, code, more) => async (page) => {
  await page.route('**/v1/generations', (route) => (route.request().method() === 'POST' ? route.fulfill(problem(status, code, more)) : route.fallback()));
};
const pressMake = async (page) => {
  await makeButton(page).click();
  await main(page).getByRole('alert').waitFor();
};
const pictures = (page, count) => page.waitForFunction((least) => [...document.querySelectorAll('main img')].filter((one) => one.complete && one.naturalWidth > 0).length >= least, count);
const selectTwo = async (page) => {
  for (const at of [0, 1]) await page.getByRole('listitem').nth(at).getByRole('button', { name: /^Select/ }).click();
  await page.getByRole('toolbar', { name: '2 selected' }).waitFor();
};

/**
 * `path` is where it is, from what prepare() made; `before` changes answers, `shown` waits
 * until it can be seen, `after` leads to the state. Without `email` nobody is signed in.
 */
export const SCREENS = [
  { name: 'sign-in', path: () => '/sign-in', shown: (page) => page.getByText('On this machine any address will do.').waitFor() },
  { name: 'home-first', email: 'new@example.com', path: () => '/', shown: (page) => heading(page, /^Make your first adverts/).waitFor() },
  { name: 'home', email: MAKER, path: () => '/', shown: (page) => pictures(page, 4) },
  { name: 'create', email: 'new@example.com', path: () => '/create?sample=1', shown: (page) => page.getByRole('img', { name: /^Preview of/ }).nth(3).waitFor() },
  { name: 'create-made', email: MAKER, path: () => '/create?sample=1', shown: (page) => pictures(page, 2) },
  { name: 'batch-running', email: MAKER, path: ({ made }) => `/batch?id=${made.id}`, before: (page, { made }) => stillRunning(page, made.id), shown: (page) => page.getByText('Waiting: 2 of yours before it').waitFor() },
  { name: 'batch', email: MAKER, path: ({ made }) => `/batch?id=${made.id}`, shown: (page) => pictures(page, 4) },
  { name: 'gallery', email: MAKER, path: () => '/gallery', shown: (page) => pictures(page, 4) },
  { name: 'gallery-selected', email: MAKER, path: () => '/gallery', shown: (page) => pictures(page, 4), after: selectTwo },
  { name: 'image', email: MAKER, path: (made) => `/image?id=${image(made)}`, shown: (page) => Promise.all([heading(page, 'Receipt').waitFor(), heading(page, 'Brief').waitFor(), pictures(page, 2)]) },
  { name: 'image-history', email: MAKER, path: (made) => `/image?id=${image(made)}`, before: (page, { made }) => withHistory(page, image({ made }), made.images.slice(1)), shown: (page) => Promise.all([page.getByText('Made from this: 2').waitFor(), pictures(page, 2)]), after: async (page) => {
    await page.getByText('1 earlier try').click();
    await page.getByRole('heading', { name: 'Receipt', exact: true }).evaluate((it) => it.scrollIntoView());
  } },
  { name: 'image-edit', email: MAKER, path: panel('edit'), shown: previewed },
  { name: 'image-adapt', email: MAKER, path: panel('more'), shown: (page) => page.getByLabel('What should be another way?').waitFor(), after: async (page) => {
    await way('Adapt')(page);
    await page.getByRole('tabpanel', { name: 'Adapt' }).getByText('Meta · Feed portrait').click();
    await page.getByText('Cropping gives Feed portrait for free').waitFor();
    await page.getByText('Meta · Stories').click();
    await page.getByRole('button', { name: /^Make 2 images / }).waitFor();
  } },
  { name: 'zip', email: MAKER, path: ({ made }) => `/batch?id=${made.id}`, shown: (page) => pictures(page, 4), after: async (page) => {
    await openZip(page);
    await page.getByRole('button', { name: 'In placements that I choose' }).click();
    await page.getByRole('dialog').getByText('Feed square').click();
    await page.getByText(/cannot be cut/).waitFor();
  } },
  { name: 'compare', email: MAKER, path: ({ made }) => `/compare?ids=${made.images[0].id},${made.images[1].id}`, shown: (page) => pictures(page, 2) },
  { name: 'brands', email: MAKER, path: () => '/brands', shown: (page) => main(page).getByRole('listitem').first().waitFor() },
  { name: 'brand', email: MAKER, path: ({ brand }) => `/brand?id=${brand}`, shown: (page) => Promise.all([page.getByRole('img', { name: /^Sample advert of/ }).waitFor(), heading(page, /^Completeness/).waitFor()]) },
  { name: 'brand-new', email: MAKER, path: () => '/brand', shown: (page) => page.getByRole('img', { name: /^Sample advert of/ }).waitFor() },
  { name: 'assets', email: MAKER, path: () => '/assets', shown: (page) => pictures(page, 1) },
  { name: 'credits', email: MAKER, path: () => '/credits', shown: (page) => page.getByText('Welcome credits').waitFor() },
  { name: 'settings', email: MAKER, path: () => '/settings', shown: (page) => main(page).getByText(MAKER).waitFor() },
  { name: 'palette', email: MAKER, path: () => '/settings', shown: (page) => main(page).getByText(MAKER).waitFor(), after: async (page) => {
    await page.keyboard.press('Control+k');
    await page.getByRole('option').nth(5).waitFor();
  } },
  { name: 'dialog', email: MAKER, path: () => '/gallery', shown: (page) => pictures(page, 4), after: async (page) => {
    await selectTwo(page);
    await page.getByRole('toolbar').getByRole('button', { name: 'Tag' }).click();
    await page.getByRole('dialog', { name: 'Tag 2 images' }).waitFor();
  } },
  { name: 'not-found', path: () => '/no-such-page', shown: (page) => heading(page, 'There is no such page').waitFor() },
];

/** States of the screens above. */
export const STATES = [
  { name: 'state-gallery-empty', email: 'new@example.com', path: () => '/gallery', shown: (page) => heading(page, 'No images yet').waitFor() },
  { name: 'state-gallery-no-match', email: MAKER, path: () => '/gallery?q=zebra', shown: (page) => heading(page, 'No image matches').waitFor() },
  { name: 'state-bin-empty', email: MAKER, path: () => '/gallery?binned=true', shown: (page) => heading(page, 'The bin is empty').waitFor() },
  { name: 'state-loading', email: MAKER, path: () => '/gallery', before: (page) => holdBack(page, '/v1/generations'), shown: (page) => page.locator('main .shimmer').nth(3).waitFor() },
  { name: 'state-batch-partial', email: MAKER, path: ({ made }) => `/batch?id=${made.id}`, before: (page, { made }) => endInEveryWay(page, made.id), shown: (page) => page.getByText('The image model was overloaded.').waitFor() },
  { name: 'state-image-failed', email: MAKER, path: (made) => `/image?id=${image(made)}`, before: (page, { made }) => asFailed(page, image({ made }), { reason: 'prompt_blocked', fault: 'user', detail: '' }), shown: (page) => heading(page, 'This image was not made').waitFor() },
  { name: 'state-layout-refused', email: MAKER, path: panel('edit'), shown: previewed, after: async (page) => {
    await page.getByLabel('Headline').fill('静かな朝');
    await page.getByText(/the font has no/).first().waitFor();
  } },
  { name: 'state-layout-colours', email: MAKER, path: panel('edit'), shown: previewed, after: async (page) => {
    await page.getByRole('button', { name: 'Top', exact: true }).press('Enter');
    await page.getByRole('button', { name: 'Choose' }).press('Enter');
    await page.getByRole('radio', { name: 'Oat, #f4ecdd' }).first().press('Space');
    await previewed(page);
    // To its end, so that nothing stands half behind the bar.
    await page.getByText(/^Google sets its own words/).evaluate((last) => last.scrollIntoView({ block: 'center' }));
  } },
  { name: 'state-refine', email: MAKER, path: panel('more'), shown: (page) => page.getByLabel('What should be another way?').waitFor(), after: async (page) => {
    await page.getByLabel('What should be another way?').fill('Softer light from the left, and the bottle a little smaller.');
  } },
  { name: 'state-vary', email: MAKER, path: panel('more'), shown: (page) => page.getByLabel('What should be another way?').waitFor(), after: way('Vary') },
  { name: 'state-zip-own', email: MAKER, path: () => '/gallery', shown: (page) => pictures(page, 4), after: async (page) => {
    await selectTwo(page);
    await openZip(page);
  } },
  { name: 'state-too-few-credits', email: 'new@example.com', path: () => '/create?sample=1', shown: (page) => makeButton(page).waitFor(), after: async (page) => {
    await page.getByRole('button', { name: 'More variants' }).click();
    await page.getByText('6 credits short').waitFor();
  } },
  { name: 'state-price-changed', email: 'new@example.com', path: () => '/create?sample=1', before: refuse(409, 'price_changed', {}), shown: (page) => makeButton(page).waitFor(), after: pressMake },
  { name: 'state-suspended', email: 'new@example.com', path: () => '/create?sample=1', before: refuse(403, 'account_suspended', {}), shown: (page) => makeButton(page).waitFor(), after: pressMake },
  { name: 'state-bad-brief', email: 'empty@example.com', path: () => '/create', shown: (page) => makeButton(page).waitFor(), after: async (page) => {
    await makeButton(page).click();
    await page.waitForFunction(() => document.activeElement?.id === 'brief-product');
  } },
  { name: 'state-link-expired', email: MAKER, path: (made) => `/image?id=${image(made)}`, before: (page) => page.route('**/file?*', (route) => route.fulfill(problem(410, 'media_link_expired'))), shown: (page) => heading(page, 'Brief').waitFor(), after: async (page) => {
    await page.getByRole('button', { name: /^(Meta|Google) · / }).first().click();
    await main(page).getByRole('alert').waitFor();
  } },
  { name: 'state-refused-file', email: 'empty@example.com', path: () => '/assets', shown: (page) => heading(page, 'No product pictures yet').waitFor(), after: async (page) => {
    await page.locator('input[type=file]').setInputFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('words') });
    await main(page).getByText('This is no PNG').waitFor();
  } },
  { name: 'state-offline', email: MAKER, path: () => '/gallery', shown: (page) => pictures(page, 4), after: async (page) => {
    await page.context().setOffline(true);
    await page.getByText('You are offline.').first().waitFor();
  } },
  { name: 'state-away', email: MAKER, path: () => '/credits', before: (page) => page.route('**/v1/**', (route) => route.abort()), shown: (page) => main(page).getByRole('alert').waitFor() },
  { name: 'state-session-ended', email: 'ended@example.com', path: () => '/create', shown: (page) => makeButton(page).waitFor(), after: async (page) => {
    await page.route('**/v1/**', (route) => route.fulfill(problem(401, 'unauthorized')));
    await page.getByRole('main').getByLabel('Headline').fill('Tinned, not tired');
    await page.getByLabel('Product or offer').fill('Tea in a tin');
    await makeButton(page).click();
    await page.getByRole('alertdialog').waitFor();
  } },
  { name: 'state-version-conflict', email: MAKER, path: ({ brand }) => `/brand?id=${brand}`, before: async (page) => {
    await page.route('**/v1/brands/*', async (route) => {
      if (route.request().method() === 'PUT') return route.fulfill(problem(412, 'stale_version'));
      return route.fallback();
    });
  }, shown: (page) => page.getByLabel('Tagline').waitFor(), after: async (page) => {
    await page.getByLabel('Tagline').fill('Poured slowly');
    await page.getByRole('button', { name: 'Save brand' }).click();
    await page.getByRole('dialog', { name: 'Saved elsewhere meanwhile' }).waitFor();
  } },
];

/** Opens a screen for a new profile and leads to its state. Close its context at the end. */
export async function visit(browser, house, world, screen, settings) {
  const { page, context, go, problems } = screen.email ? await arrive(browser, house, screen.email, settings) : await stranger(browser, house, settings);
  await screen.before?.(page, world);
  await go(screen.path(world));
  await screen.shown(page);
  await screen.after?.(page);
  return { page, context, problems };
}

async function stranger(browser, house, settings) {
  const profile = await newProfile(browser, settings);
  const page = await profile.context.newPage();
  return { ...profile, page, go: (path) => page.goto(house.base + path) };
}
