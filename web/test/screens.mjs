// Pictures of every screen and state for people to look at: out/screens/<name>-<width>.png,
// and in the dark at 1280 px.  ONLY=<part of a name> makes some of them.

import { mkdirSync } from 'node:fs';
import { resolve } from 'node:path';
import { House, openBrowser } from './house.mjs';
import { prepare, SCREENS, STATES, visit } from './tour.mjs';

const OUT = resolve(import.meta.dirname, '../../out/screens');
const LOOKS = [
  { width: 390, height: 844, touch: true },
  { width: 1280, height: 860 },
  { width: 1280, height: 860, dark: true },
  { width: 1920, height: 1080 },
];

mkdirSync(OUT, { recursive: true });
// As often as the pictures are taken, the api is asked.
const house = await House.start({ ATELIER_LIMIT_READS: '100000', ATELIER_LIMIT_WRITES: '100000' });
const browser = await openBrowser();
try {
  const world = await prepare(browser, house);
  for (const screen of [...SCREENS, ...STATES].filter(({ name }) => name.includes(process.env.ONLY ?? ''))) {
    for (const { width, height, dark, touch } of LOOKS) {
      const file = `${screen.name}-${width}${dark ? '-dark' : ''}.png`;
      const { page, context } = await visit(browser, house, world, screen, { size: { width, height }, dark, hasTouch: touch, isMobile: touch });
      await page.evaluate(() => document.fonts.ready);
      await page.screenshot({ path: resolve(OUT, file), animations: 'disabled' });
      await context.close();
      console.log(file);
    }
  }
} finally {
  await browser.close();
  await house.stop();
}
