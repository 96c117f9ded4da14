// What the tests of states and of accessibility and the pictures of `make screens` share:
// people who are signed in, images that are made, and answers that a real server gives
// only after days or by accident.

import { newProfile, PATIENCE } from './house.mjs';

/** What a browser keeps of a signed-in person, for a profile that begins with it. */
export function storageOf(house, person) {
  const { exp } = JSON.parse(Buffer.from(person.token.split('.')[1], 'base64url'));
  const session = { token: person.token, expires: exp * 1000, email: person.email };
  return { cookies: [], origins: [{ origin: house.base, localStorage: [{ name: 'atelier.session', value: JSON.stringify(session) }] }] };
}

/** A profile of a person who is signed in, with a page of theirs. */
export async function arrive(browser, house, email, settings = {}) {
  const person = await house.person(email);
  const profile = await newProfile(browser, { storageState: storageOf(house, person), ...settings });
  const page = await profile.context.newPage();
  return { ...profile, person, page, go: (path) => page.goto(house.base + path) };
}

/** The button that makes the images. */
export const makeButton = (page) => page.getByRole('button', { name: /^Make \d+ images?/ });

/** Makes the sample brief's four adverts on the screens; returns the batch as the api has it. */
export async function makeSample({ page, person, go }) {
  await go('/create?sample=1');
  await makeButton(page).click();
  await page.waitForURL('**/batch?id=*');
  const id = new URL(page.url()).searchParams.get('id');
  await page.getByRole('paragraph').filter({ hasText: '4 of 4 images ready.' }).waitFor({ timeout: PATIENCE });
  const images = (await person.call('GET', `/v1/generations?batch_id=${id}`)).body.items;
  return { id, images };
}

/** Changes the JSON of the answers to GETs of a path (as the api names them) on a page or in a context. */
export async function changeAnswers(where, path, change) {
  await where.route(
    ({ pathname }) => (path instanceof RegExp ? path.test(pathname) : pathname === path),
    async (route) => {
      if (route.request().method() !== 'GET') return route.fallback();
      const response = await route.fetch();
      await route.fulfill({ response, json: change(await response.json(), new URL(route.request().url())) });
    },
  );
}

/** A problem (RFC 9457), as the api answers with. */
export function problem(status, code, more = {}) {
  return { status, contentType: 'application/problem+json', body: JSON.stringify({ type: `/problems/${code}`, title: code, status, code, ...more }) };
}

/** Shows a batch of four as one that ended in every way: two passed, one failed, one was canceled. */
export async function endInEveryWay(where, id) {
  await changeAnswers(where, `/v1/batches/${id}`, (batch) => ({ ...batch, counts: { open: 0, succeeded: 2, failed: 1, canceled: 1 }, credits: { ...batch.credits, held: 0, captured: 2 * batch.per_image, released: 2 * batch.per_image } }));
  await changeAnswers(where, '/v1/generations', (list) => {
    const [first, second, ...rest] = list.items;
    const without = { image: null, credits: 0, links: { ...first.links, thumbnail: null } };
    return { ...list, items: [{ ...first, ...without, status: 'failed', failure: { reason: 'overloaded', detail: '' } }, { ...second, ...without, status: 'canceled' }, ...rest] };
  });
}

/** Shows a batch of four as one that runs: one is done, three wait. */
export async function stillRunning(where, id) {
  await changeAnswers(where, `/v1/batches/${id}`, (batch) => ({ ...batch, counts: { open: 3, succeeded: 1, failed: 0, canceled: 0 }, credits: { ...batch.credits, held: 3 * batch.per_image, captured: batch.per_image } }));
  await changeAnswers(where, '/v1/generations', (list) => ({
    ...list,
    items: list.items.map((image, at) => (at === 0 ? image : { ...image, status: 'requested', image: null, finished_at: null, credits: 0, links: { ...image.links, thumbnail: null } })),
  }));
}

/** Shows an image as one that came at the second try, with something to look at, from another and with others made from it. */
export async function withHistory(where, id, relatives) {
  await changeAnswers(where, `/v1/generations/${id}`, (image) => {
    const [attempt] = image.receipt.attempts;
    const verdict = (check, more) => ({ ...attempt.verdicts.find((one) => one.check === check), ...more });
    const verdicts = attempt.verdicts.map((one) => (one.check === 'scene' ? verdict('scene', { verdict: 'warn', answer: 'unsure', evidence: 'the cork is partly outside the picture' }) : one));
    const first = { ...attempt, number: 1, outcome: 'rejected', verdicts: [verdict('palette', { verdict: 'warn', evidence: 'a blue that the brand does not have leads' }), verdict('border', { verdict: 'block', evidence: 'bars of one colour above and below' })] };
    const relative = (one, workflow, more) => ({ id: one.id, workflow, factor: null, feedback: null, placement: one.placement, status: 'succeeded', links: { self: one.links.self, thumbnail: one.links.thumbnail }, ...more });
    const [source, ...derived] = relatives;
    return {
      ...image,
      workflow: 'refine',
      receipt: { ...image.receipt, attempts: [first, { ...attempt, number: 2, verdicts }] },
      lineage: { factor: null, feedback: 'Softer light from the left, and the bottle a little smaller.', source: relative(source, 'create'), derived: [relative(derived[0], 'adapt'), relative(derived[1], 'vary', { factor: 'light' })] },
    };
  });
}

/** Shows an image as one that failed for a reason. */
export async function asFailed(where, id, failure) {
  await changeAnswers(where, `/v1/generations/${id}`, (image) => ({ ...image, status: 'failed', image: null, layout: null, credits: 0, failure, receipt: { ...image.receipt, attempts: [{ ...image.receipt.attempts[0], outcome: failure.reason, verdicts: [] }] }, links: { ...image.links, file: null, thumbnail: null } }));
}

/** Holds requests to a path back until the returned function is called. */
export async function holdBack(where, path) {
  let release;
  const held = new Promise((resolve) => (release = resolve));
  await where.route(({ pathname }) => pathname === path, async (route) => {
    await held;
    await route.continue();
  });
  return release;
}

/** Holds the answer to the first GET of a path back until release is called; `given` resolves when the server has given it. */
export async function holdAnswer(where, path) {
  let release, have;
  const held = new Promise((resolve) => (release = resolve));
  const given = new Promise((resolve) => (have = resolve));
  await where.route(
    ({ pathname }) => pathname === path,
    async (route) => {
      const response = await route.fetch();
      have();
      await held;
      await route.fulfill({ response });
    },
    { times: 1 },
  );
  return { given, release };
}

/** Shows a gallery of so many images, in pages of so many, with the thumbnails of real ones. */
export function manyImages(where, images, count, page) {
  return where.route('**/v1/generations?*', (route) => {
    const from = Number(new URL(route.request().url()).searchParams.get('cursor') ?? 0);
    const items = Array.from({ length: page }, (_, at) => ({ ...images[(from + at) % images.length], id: `${String(from + at).padStart(8, '0')}-0000-7000-8000-000000000000`, number: at + 1 }));
    return route.fulfill({ json: { items, next_cursor: from + page < count ? String(from + page) : null } });
  });
}
