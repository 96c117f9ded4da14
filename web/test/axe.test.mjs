import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { House, openBrowser, SIZES } from './house.mjs';
import { prepare, SCREENS, STATES, visit } from './tour.mjs';

// Every screen, on a laptop and on a phone, in light and dark: no rule of axe is broken, nor that of target sizes.
// Each size in one theme, by turns, so that what all screens share is seen in all four. ALL=1 (npm run axe)
// looks at every screen in all of them, and at every state in two; it takes minutes.
const LOOKS = [['laptop', 'light'], ['phone', 'dark'], ['laptop', 'dark'], ['phone', 'light']];
const all = !!process.env.ALL;
const looks = [
  ...SCREENS.map((screen, at) => [screen, all ? LOOKS : at % 2 ? LOOKS.slice(2) : LOOKS.slice(0, 2)]),
  ...(all ? STATES : []).map((state) => [state, LOOKS.slice(0, 2)]),
];

let house;
let browser;
let world;

before(async () => {
  [house, browser] = await Promise.all([House.start({ ATELIER_LIMIT_READS: '100000' }), openBrowser()]);
  world = await prepare(browser, house);
});

after(async () => {
  await browser?.close();
  await house?.stop();
});

function told(violations) {
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, any, all, none }) => `${target.join(' ')} (${[...any, ...all, ...none].map(({ message }) => message).join('; ')})`).join('\n  ')}`).join('\n');
}

for (const [screen, from] of looks)
  test(`${screen.name} can be used by everybody`, async () => {
    const { page, context } = await visit(browser, house, world, screen);
    try {
      for (const [size, theme] of from) {
        await page.setViewportSize(SIZES[size]);
        await page.emulateMedia({ colorScheme: theme });
        await page.waitForFunction((wanted) => document.documentElement.dataset.theme === wanted && document.getAnimations().every((one) => one.playState !== 'running'), theme);
        const { violations, passes } = await new AxeBuilder({ page }).setLegacyMode().options({ rules: { 'target-size': { enabled: true } } }).analyze();
        assert.ok(passes.length > 10, `${passes.length} rules had something to look at`);
        assert.equal(told(violations), '', `${size}, ${theme}`);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${size}: nothing stands out to the side`);
      }
    } finally {
      await context.close();
    }
  });
