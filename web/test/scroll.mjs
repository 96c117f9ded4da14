// Scrolls through a gallery of 10,000 images, at reading speed and flung, and says how it
// went: frames a second, tasks over 50 ms, layout shift, tiles in the document, heap.
// The list is made up from the images of one batch, whose thumbnails are real. A busy
// machine makes any task long, so each is told twice: by the clock, and by what it used of
// a core. An empty page is scrolled in the same way beside it.
//   npm run scroll

import { loadavg } from 'node:os';
import { House, openBrowser } from './house.mjs';
import { arrive, makeSample, manyImages } from './scenes.mjs';

const IMAGES = 10_000;
const PAGE = 100;
const PATIENCE = 600_000;

/** How far the empty page goes (px): a minute at reading speed. */
const EMPTY_HEIGHT = 90_000;

/** Milliseconds of scrolling that are traced at once: what a browser keeps of a trace is bounded. */
const STRETCH = 15_000;

/** In the page: scrolls on by some pixels a frame for so long, or to its end, and tells how it went. */
async function scroll({ step, most: time, index }) {
  let shift = 0;
  const observer = new PerformanceObserver((list) => list.getEntries().forEach((one) => (shift += one.hadRecentInput ? 0 : one.value)));
  observer.observe({ type: 'layout-shift' });
  const frame = () => new Promise(requestAnimationFrame);
  const tiles = () => [...document.querySelectorAll('[data-index]')].map((one) => Number(one.dataset.index));
  const began = performance.now();
  let frames = 0;
  let most = 0;
  let still = 0;
  // The end is where nothing more comes for a second's worth of frames.
  while (still < 60 && performance.now() - began < time) {
    const y = scrollY;
    scrollBy(0, step);
    await frame();
    frames++;
    still = scrollY === y ? still + 1 : 0;
    most = Math.max(most, tiles().length);
  }
  observer.takeRecords().forEach((one) => (shift += one.value));
  observer.disconnect();
  return { frames, ms: performance.now() - began, shift, most, last: Math.max(index, ...tiles()), ended: still >= 60, heap: performance.memory.usedJSHeapSize };
}

/** Milliseconds that each task of the page took, by the clock and of a core. */
function tasksOf(trace) {
  const events = JSON.parse(trace).traceEvents;
  const threads = new Map(events.filter(({ name }) => name === 'thread_name').map(({ pid, tid, args }) => [`${pid}.${tid}`, args.name]));
  const tasks = events.filter(({ ph, name, pid, tid }) => ph === 'X' && name === 'ThreadControllerImpl::RunTask' && threads.get(`${pid}.${tid}`) === 'CrRendererMain');
  return tasks.map(({ dur, tdur = 0 }) => ({ clock: dur / 1000, core: tdur / 1000 }));
}

async function measure(browser, page, step) {
  await page.bringToFront();
  await page.evaluate(() => scrollTo(0, 0));
  const sum = { frames: 0, ms: 0, shift: 0, most: 0, last: 0, heap: 0, tasks: [] };
  for (let ended = false; !ended; ) {
    await browser.startTracing(page, { categories: ['toplevel'] });
    const said = await page.evaluate(scroll, { step, most: STRETCH, index: sum.last });
    sum.tasks = sum.tasks.concat(tasksOf(await browser.stopTracing()));
    for (const name of ['frames', 'ms', 'shift']) sum[name] += said[name];
    for (const name of ['most', 'last', 'heap']) sum[name] = Math.max(sum[name], said[name]);
    ended = said.ended;
  }
  const by = (which) => ({ over_50_ms: sum.tasks.filter((one) => one[which] > 50).length, longest_ms: Math.round(sum.tasks.reduce((most, one) => Math.max(most, one[which]), 0)) });
  return { last: sum.last, seconds: Math.round(sum.ms / 1000), frames_per_s: Math.round((1000 * sum.frames) / sum.ms), tasks: sum.tasks.length, clock: by('clock'), core: by('core'), shift: sum.shift, tiles_most: sum.most, heap_mb: Math.round(sum.heap / 1e6) };
}

const house = await House.start({ ATELIER_LIMIT_READS: '100000' });
const browser = await openBrowser();
try {
  const who = await arrive(browser, house, 'maker@example.com');
  who.context.setDefaultTimeout(PATIENCE);
  const { images } = await makeSample(who);
  await manyImages(who.page, images, IMAGES, PAGE);
  await who.go('/gallery');
  await who.page.getByRole('list', { name: 'Gallery' }).getByRole('listitem').nth(3).waitFor();
  const empty = await who.context.newPage();
  await empty.setContent(`<div style="height: ${EMPTY_HEIGHT}px"></div>`);
  // Pixels a frame: some 1,500 and 12,000 a second.
  for (const [name, step] of [['reading', 25], ['flung', 200]])
    for (const [what, page] of [['an empty page', empty], ['10,000 tiles', who.page]]) {
      await page.bringToFront();
      console.log(`${name}, ${what}`, JSON.stringify(await measure(browser, page, step)), `load ${loadavg()[0].toFixed(1)}`);
    }
} finally {
  await browser.close();
  await house.stop();
}
