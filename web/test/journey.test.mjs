// The way of a person who has never seen it: from the address that `make run` prints to four
// adverts on disk. By mouse, by keyboard alone on a dark phone, and with the server killed in
// the middle.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { House, jpegSize, newProfile, openBrowser, PATIENCE, signIn, SIZES } from './house.mjs';

/** Placements of the sample brief with the pixels that their platforms take. */
const FILES = { meta_feed_square: [1080, 1080], meta_story: [1080, 1920], google_landscape: [1200, 628], google_portrait: [960, 1200] };

let house, browser;
before(async () => {
  [house, browser] = await Promise.all([House.start(), openBrowser()]);
});
after(async () => {
  await browser?.close();
  await house?.stop();
});

/** Collects the downloads of a page until there are four, and checks their pixels. */
async function filesOf(page, save) {
  const files = [];
  const all = new Promise((resolve) => {
    page.on('download', (file) => {
      files.push(file);
      if (files.length === 4) resolve();
    });
  });
  await save();
  await Promise.race([all, new Promise((_, reject) => setTimeout(() => reject(new Error(`${files.length} files of 4`)), PATIENCE).unref())]);
  const sizes = {};
  for (const file of files) {
    const name = file.suggestedFilename();
    const placement = Object.keys(FILES).find((one) => name.includes(one));
    assert.ok(placement, name);
    const { width, height } = jpegSize(await readFile(await file.path()));
    sizes[placement] = [width, height];
  }
  assert.deepEqual(sizes, FILES);
}

test('by mouse', async (t) => {
  const { context, problems } = await newProfile(browser);
  const page = await context.newPage();
  const began = Date.now();
  let steps = 1;
  await signIn(page, house, 'mouse@example.com');
  for (const name of ['Make four sample adverts', /^Make 4 images · 8 credits/]) {
    await page.getByRole(name instanceof RegExp ? 'button' : 'link', { name }).click();
    steps++;
  }
  await page.waitForURL(/\/batch\?id=/);
  await page.getByText('4 of 4 images ready.').first().waitFor();
  await page.getByText('4 asked, 4 passed · 8 credits paid').waitFor();
  await filesOf(page, () => page.getByRole('button', { name: 'Download 4 files' }).click());
  steps++;
  t.diagnostic(`${steps} steps, ${((Date.now() - began) / 1000).toFixed(1)} s`);
  await page.getByRole('navigation', { name: 'Main' }).getByText('2', { exact: true }).waitFor();

  // An image, its neighbours, a favourite, a tag, the bin and back.
  await page.getByRole('link', { name: /^Open Feed square/ }).click();
  await page.getByRole('heading', { level: 1, name: 'Slow mornings, poured' }).waitFor();
  await page.getByRole('button', { name: 'Add to favourites' }).click();
  await page.getByRole('button', { name: 'Remove from favourites' }).waitFor();
  await page.getByText('File is whole and as asked').waitFor();
  await page.goto(`${house.base}/gallery?favourite=true`);
  await page.getByRole('listitem').first().waitFor();
  assert.equal(await page.getByRole('listitem').count(), 1);
  await page.getByRole('button', { name: /^Select Feed square/ }).click();
  await page.getByRole('button', { name: 'Tag', exact: true }).click();
  await page.getByLabel('New tags').fill('spring');
  await page.getByRole('button', { name: 'Save' }).click();
  await page.getByRole('button', { name: 'spring' }).waitFor();
  await page.goto(`${house.base}/gallery?q=slow+mornings&tag=spring`);
  await page.getByRole('button', { name: /^Select Feed square/ }).click();
  await page.getByRole('button', { name: 'Move to the bin' }).click();
  await page.getByText('No image matches').waitFor();
  await page.goto(`${house.base}/gallery?binned=true`);
  await page.getByRole('button', { name: /^Select Feed square/ }).click();
  await page.getByRole('button', { name: 'Bring back' }).click();
  await page.getByText('The bin is empty').waitFor();
  await page.goto(`${house.base}/gallery`);
  await page.getByRole('listitem').nth(3).waitFor();
  assert.deepEqual(problems, []);
  await context.close();
});

/** Presses Tab until what has the focus answers to a name; nobody needs more than most. */
async function tabTo(page, name, most = 80) {
  for (let i = 0; i < most; i++) {
    await page.keyboard.press('Tab');
    const now = await page.evaluate(() => {
      const it = document.activeElement;
      return it?.getAttribute('aria-label') || it?.labels?.[0]?.innerText || it?.innerText || '';
    });
    if (name.test(now)) return;
  }
  throw new Error(`no ${name} within ${most} tabs`);
}

test('by keyboard alone, on a dark phone', async () => {
  const { context, problems } = await newProfile(browser, { size: SIZES.phone, dark: true });
  const page = await context.newPage();
  await page.goto(house.base);
  await page.getByLabel('E-mail address').waitFor();
  await page.keyboard.type('keys@example.com');
  await page.getByRole('button', { name: 'Sign in', disabled: false }).waitFor();
  await page.keyboard.press('Enter');
  await page.getByRole('link', { name: 'Make four sample adverts' }).waitFor();
  await tabTo(page, /^Make four sample adverts/);
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: /^Make 4 images/ }).waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), 'dark');
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'nothing stands out to the side');
  await page.keyboard.press('Control+Enter');
  await page.waitForURL(/\/batch\?id=/);
  await page.getByText('4 of 4 images ready.').first().waitFor();
  await tabTo(page, /^Download 4 files/);
  await filesOf(page, () => page.keyboard.press('Enter'));

  // The gallery by its keys: focus is seen, moves, opens, and comes back.
  await page.keyboard.press('g');
  await page.keyboard.press('g');
  await page.getByRole('list', { name: 'Gallery' }).getByRole('listitem').nth(3).waitFor();
  await page.waitForFunction(() => document.activeElement?.id === 'title');
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await page.waitForFunction(() => document.activeElement?.getAttribute('data-index') === '1');
  await page.keyboard.press('f');
  await page.getByRole('button', { name: 'Remove from favourites' }).waitFor();
  await page.keyboard.press('Space');
  await page.getByRole('toolbar', { name: '1 selected' }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('toolbar').waitFor({ state: 'detached' });
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/image\?/);
  await page.getByText('File is whole and as asked').waitFor();
  // The palette may be opened while the screen beneath it changes.
  await page.keyboard.press('Escape');
  await page.waitForURL(/\/gallery/);
  await page.keyboard.press('Control+k');
  await page.getByRole('dialog').getByRole('combobox').waitFor();
  await page.keyboard.type('credits');
  await page.keyboard.press('Enter');
  await page.waitForURL(/\/credits/);
  assert.deepEqual(problems, []);
  await context.close();
});

test('with the server killed in the middle', async () => {
  const { context } = await newProfile(browser);
  const page = await context.newPage();
  await signIn(page, house, 'killed@example.com', '/create?sample=1');
  await page.getByRole('button', { name: /^Make 4 images/ }).click();
  await page.waitForURL(/\/batch\?id=/);
  await house.kill();
  await page.getByText('The server cannot be reached. Trying again…').first().waitFor();
  await house.up();
  // What was drawn when it died is waited for, or drawn: nothing is paid twice.
  await page.getByText('The server cannot be reached. Trying again…').first().waitFor({ state: 'hidden' });
  const ann = await house.person('killed@example.com');
  const id = new URL(page.url()).searchParams.get('id');
  await page.getByRole('button', { name: /^Cancel the rest/ }).or(page.getByText('4 of 4 images ready.').first()).first().waitFor();
  if (await page.getByRole('button', { name: /^Cancel the rest/ }).isVisible()) await page.getByRole('button', { name: /^Cancel the rest/ }).click();
  await page.getByRole('link', { name: 'Make more' }).waitFor();
  await page.getByText(/^4 asked, \d passed · \d credits? paid(, \d returned)?$/).waitFor();
  const { body: batch, position } = await ann.call('GET', `/v1/batches/${id}`);
  assert.equal(batch.counts.open, 0);
  assert.equal(batch.credits.captured, 2 * batch.counts.succeeded);
  assert.equal(batch.credits.captured + batch.credits.released, 8);
  const { body: credits } = await ann.call('GET', '/v1/credits', undefined, { 'Atelier-Position': position });
  assert.equal(credits.available, 10 - batch.credits.captured);
  await context.close();
});

test('two tabs of one person have one stream, and another person sees nothing of it', async () => {
  const ann = await newProfile(browser);
  const bob = await newProfile(browser);
  let streams = 0;
  ann.context.on('request', (request) => request.url().endsWith('/v1/stream') && streams++);
  const [first, other] = [await ann.context.newPage(), await bob.context.newPage()];
  await signIn(first, house, 'ann@example.com');
  await signIn(other, house, 'bob@example.com');
  await other.goto(`${house.base}/gallery`);
  const second = await ann.context.newPage();
  await second.goto(house.base);
  await second.getByRole('link', { name: 'Make four sample adverts' }).waitFor();

  await first.getByRole('link', { name: 'Make four sample adverts' }).click();
  await first.getByRole('button', { name: /^Make 4 images/ }).click();
  await first.getByText('4 of 4 images ready.').first().waitFor();
  // The second tab was told without asking for anything.
  await second.getByRole('heading', { name: 'Made' }).waitFor();
  await second.getByRole('navigation', { name: 'Main' }).getByText('2', { exact: true }).waitFor();
  assert.equal(streams, 1);

  // The tab that holds the stream goes; the other goes on from where it was.
  await first.close();
  const person = await house.person('ann@example.com');
  const { body: brands } = await person.call('GET', '/v1/brands');
  const kit = { ...brands.items[0].kit, name: 'Solstice Coffee' };
  assert.equal((await person.call('PUT', `/v1/brands/${brands.items[0].id}`, { kit }, { 'If-Match': '"1"' })).status, 200);
  await second.getByRole('navigation', { name: 'Main' }).getByText('Solstice Coffee').first().waitFor();
  assert.equal(streams, 2);

  await other.getByText('No images yet').waitFor();
  const id = await second.getByRole('link', { name: /bottle/i }).first().or(second.locator('a[href^="/image?id="]').first()).first().getAttribute('href');
  await other.goto(house.base + id);
  await other.getByText('No such image').waitFor();
  assert.deepEqual([...ann.problems, ...bob.problems], []);
  await ann.context.close();
  await bob.context.close();
});
