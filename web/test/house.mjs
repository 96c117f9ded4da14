// The product as a person runs it, and the browser as a person uses it: `atelier up` on a
// data directory of the test's own, and Debian's chromium. Nothing waits for time.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { chromium } from 'playwright-core';

const PROGRAM = resolve(import.meta.dirname, '../../bin/atelier');
export const BROWSER = process.env.CHROMIUM ?? '/usr/bin/chromium';

/** How long anything may take before the test fails, milliseconds. */
export const PATIENCE = 60_000;

export const ARGUMENTS = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'];

/** A port of this machine that nobody listens on. */
export async function freePort() {
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** A running `atelier up`, which can be killed and started again under the same address. */
export class House {
  static async start(settings = {}) {
    const house = new House();
    house.dir = mkdtempSync(join(tmpdir(), 'atelier-web-'));
    house.port = await freePort();
    house.base = `http://127.0.0.1:${house.port}`;
    house.settings = settings;
    await house.up();
    return house;
  }

  async up() {
    this.process = spawn(PROGRAM, ['up', '--data', join(this.dir, 'data'), '--listen', `127.0.0.1:${this.port}`], {
      env: { ...process.env, ATELIER_LOG_LEVEL: 'error', ...this.settings },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.ended = once(this.process, 'exit');
    const errors = [];
    this.process.stderr.on('data', (text) => errors.push(String(text)));
    const lines = createInterface({ input: this.process.stdout });
    const ready = new Promise((resolve, reject) => {
      lines.on('line', (line) => line.startsWith('ready') && resolve());
      this.process.once('exit', (code) => reject(new Error(`atelier ended with ${code}: ${errors.join('')}`)));
      setTimeout(() => reject(new Error(`atelier is not ready: ${errors.join('')}`)), PATIENCE).unref();
    });
    await ready;
  }

  /** Ends it as a crash would. */
  async kill() {
    this.process.kill('SIGKILL');
    await this.ended;
  }

  async stop() {
    this.process.kill('SIGTERM');
    await this.ended;
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** A token, and a way to call the api as its person. */
  async person(email) {
    const answer = await fetch(`${this.base}/dev/sign-in`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ email }) });
    const { access_token: token } = await answer.json();
    const call = async (method, path, body, headers = {}) => {
      const said = await fetch(this.base + path, { method, headers: { Authorization: `Bearer ${token}`, ...(body ? { 'Content-Type': 'application/json' } : {}), ...headers }, body: body && JSON.stringify(body) });
      return { status: said.status, position: said.headers.get('Atelier-Position'), body: await said.json().catch(() => undefined) };
    };
    return { email, token, call };
  }
}

/** Opens the browser; close it at the end. */
export function openBrowser() {
  return chromium.launch({ executablePath: BROWSER, args: ARGUMENTS });
}

export const SIZES = { phone: { width: 390, height: 844 }, laptop: { width: 1280, height: 860 }, wide: { width: 1920, height: 1080 } };

/** A person's own browser profile, and what went wrong on its pages. */
export async function newProfile(browser, { size = SIZES.laptop, dark = false, ...rest } = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: dark ? 'dark' : 'light', reducedMotion: 'reduce', acceptDownloads: true, locale: 'en-GB', ...rest });
  context.setDefaultTimeout(PATIENCE);
  const problems = [];
  context.on('weberror', (error) => problems.push(error.error().message));
  context.on('console', (message) => {
    // A refused policy or a broken script is a fault; an answer that is not 200 is not.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) problems.push(message.text());
  });
  return { context, problems };
}

/** Signs in on the page that is shown. */
export async function signIn(page, house, email, path = '/') {
  await page.goto(house.base + path);
  await page.getByLabel('E-mail address').fill(email);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.getByRole('navigation', { name: 'Main' }).waitFor();
}

/** Width and height of a JPEG's bytes. */
export function jpegSize(bytes) {
  for (let at = 2; at < bytes.length; ) {
    const marker = bytes.readUInt16BE(at);
    if ([0xffc0, 0xffc1, 0xffc2].includes(marker)) return { width: bytes.readUInt16BE(at + 7), height: bytes.readUInt16BE(at + 5) };
    at += 2 + bytes.readUInt16BE(at + 2);
  }
  throw new Error('no JPEG');
}
