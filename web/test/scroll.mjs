// Scrolls through a gallery of 10,000 images, at reading speed and flung, and says how it
// went: frames a second, tasks over 50 ms, layout shift, tiles in the document, heap.
// The list is made up from the images of one batch, whose thumbnails are real.
//   npm run scroll

import { House, openBrowser } from './house.mjs';
import { arrive, makeSample } from './scenes.mjs';

const IMAGES = 10_000;
const PAGE = 100;
const PATIENCE = 600_000;

const house = await House.start({ ATELIER_LIMIT_READS: '100000' });
const browser = await openBrowser();
try {
  const who = await arrive(browser, house, 'maker@example.com');
  who.context.setDefaultTimeout(PATIENCE);
  const { images } = await makeSample(who);
  await who.page.route('**/v1/generations?*', (route) => {
    const from = Number(new URL(route.request().url()).searchParams.get('cursor') ?? 0);
    const items = Array.from({ length: PAGE }, (_, at) => ({ ...images[(from + at) % images.length], id: `${String(from + at).padStart(8, '0')}-0000-7000-8000-000000000000`, number: at + 1 }));
    return route.fulfill({ json: { items, next_cursor: from + PAGE < IMAGES ? String(from + PAGE) : null } });
  });
  await who.go('/gallery');
  await who.page.getByRole('list', { name: 'Gallery' }).getByRole('listitem').nth(3).waitFor();
  // Pixels a frame: some 1,500 and 12,000 a second.
  for (const [name, step] of [['reading', 25], ['flung', 200]]) {
    const said = await who.page.evaluate(async (step) => {
      const tasks = [];
      let shift = 0;
      new PerformanceObserver((list) => list.getEntries().forEach((one) => tasks.push(Math.round(one.duration)))).observe({ type: 'longtask' });
      new PerformanceObserver((list) => list.getEntries().forEach((one) => (shift += one.hadRecentInput ? 0 : one.value))).observe({ type: 'layout-shift' });
      const frame = () => new Promise(requestAnimationFrame);
      scrollTo(0, 0);
      await frame();
      const began = performance.now();
      let frames = 0;
      let most = 0;
      let still = 0;
      // The end is where nothing more comes for a second's worth of frames.
      for (let y = 0; still < 60; frames++) {
        y = scrollY;
        scrollBy(0, step);
        await frame();
        still = scrollY === y ? still + 1 : 0;
        most = Math.max(most, document.querySelectorAll('[data-index]').length);
      }
      const last = Math.max(...[...document.querySelectorAll('[data-index]')].map((one) => Number(one.dataset.index)));
      return { last, seconds: Math.round((performance.now() - began) / 1000), frames_per_s: Math.round((1000 * frames) / (performance.now() - began)), tasks_over_50_ms: tasks.length, longest_ms: Math.max(0, ...tasks), shift, tiles_most: most, heap_mb: Math.round(performance.memory.usedJSHeapSize / 1e6) };
    }, step);
    console.log(name, JSON.stringify(said));
  }
} finally {
  await browser.close();
  await house.stop();
}
