// Lighthouse's figures of create and the gallery, as a signed-in person with images has them,
// on a phone and on a desktop: the middle one of three runs, as single ones differ by ten.
// make lighthouse.  It ends with 1 where one is below 95.
// `machine` is Lighthouse's own measure of how fast the machine was meanwhile (a laptop: 1,000
// and more): what is slow on a busy machine says little.

import { chromium } from 'playwright-core';
import lighthouse, { desktopConfig } from 'lighthouse';
import { ARGUMENTS, BROWSER, freePort, House, openBrowser } from './house.mjs';
import { arrive, makeSample } from './scenes.mjs';

const LEAST = 95;
const RUNS = 3;
/** How long a screen is waited for, milliseconds: the stream keeps the network from ever being quiet. */
const LOADED_WITHIN = 15_000;
const CATEGORIES = ['performance', 'accessibility', 'best-practices'];

const house = await House.start({ ATELIER_LIMIT_READS: '100000' });
const first = await openBrowser();
const maker = await arrive(first, house, 'maker@example.com');
await makeSample(maker);
const kept = await maker.page.evaluate(() => Object.entries(localStorage));
await first.close();

const port = await freePort();
const browser = await chromium.launchPersistentContext('', { executablePath: BROWSER, args: [...ARGUMENTS, `--remote-debugging-port=${port}`] });
let below = 0;
try {
  const page = await browser.newPage();
  await page.goto(house.base + '/sign-in');
  await page.evaluate((all) => all.forEach(([name, value]) => localStorage.setItem(name, value)), kept);
  await page.close();
  for (const path of ['/create?sample=1', '/gallery'])
    for (const [look, config] of [['phone', undefined], ['desktop', desktopConfig]]) {
      const runs = [];
      for (let run = 0; run < RUNS; run++) runs.push((await lighthouse(house.base + path, { port, logLevel: 'error', onlyCategories: CATEGORIES, disableStorageReset: true, maxWaitForLoad: LOADED_WITHIN }, config)).lhr);
      const lhr = runs.sort((a, b) => a.categories.performance.score - b.categories.performance.score)[(RUNS - 1) / 2];
      const scores = CATEGORIES.map((name) => [name, Math.round(100 * lhr.categories[name].score)]);
      const times = ['first-contentful-paint', 'largest-contentful-paint', 'total-blocking-time', 'cumulative-layout-shift'].map((name) => `${name} ${lhr.audits[name].displayValue}`);
      console.log(`${path} ${look}: ${scores.map((one) => one.join(' ')).join(', ')} (${times.join(', ')}; machine ${Math.round(lhr.environment.benchmarkIndex)})`);
      const lost = CATEGORIES.flatMap((name) => lhr.categories[name].auditRefs).filter(({ id, weight }) => weight > 0 && lhr.audits[id].score !== null && lhr.audits[id].score < 0.9);
      for (const { id } of lost) console.log(`  ${id}: ${lhr.audits[id].title} ${lhr.audits[id].displayValue ?? ''}`);
      below += scores.filter(([, score]) => score < LEAST).length;
    }
} finally {
  await browser.close();
  await house.stop();
}
process.exitCode = below > 0 ? 1 : 0;
