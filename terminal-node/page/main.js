// The till page: puts the parts together, and follows the daemon.

import { Refused, follow, get } from './api.js';
import * as attention from './attention.js';
import * as basket from './basket.js';
import * as check from './check.js';
import { button, draw, fill, h, icon } from './dom.js';
import * as drawer from './drawer.js';
import * as memory from './memory.js';
import { complete, pay } from './pay.js';
import * as sales from './sales.js';
import * as scanner from './scanner.js';
import * as sell from './sell.js';
import { language, t } from './strings.js';
import * as topbar from './topbar.js';

const VIEWS = { sell, sales, attention, drawer, check };
const app = document.getElementById('app');
const built = {};
let current = 'sell';
let nav;
let badge;
let whose;
let stage;
let catalog;
let commits;

document.documentElement.lang = language;
memory.pair();
start();

async function start() {
  navigator.serviceWorker?.register('/page/worker.js', { scope: '/' }).catch(() => {});
  fill(app, h('p', { class: 'alone' }, t('starting')));
  if (!memory.token()) { pairing(false); return; }
  if (!await alone()) return;
  // A daemon that does not answer yet is no reason not to show the basket.
  try {
    const status = await get('/status');
    memory.belongsTo(status.identity);
    topbar.told(status);
  } catch (error) {
    if (error instanceof Refused && error.status === 401) { pairing(true); return; }
    topbar.silent();
    if (!memory.isKnown()) { setTimeout(start, 1000); return; }
  }
  basket.load();
  frame();
  follow(told, silent);
  if (basket.underWay()) await complete({ quiet: true });
}

function frame() {
  badge = h('span');
  whose = h('footer');
  nav = h('nav', { 'aria-label': t('navLabel') }, Object.keys(VIEWS).map((name) => button(
    [icon(name), h('span', {}, t(`nav.${name}`)), name === 'attention' ? badge : null],
    () => go(name), { 'data-view': name })), whose);
  stage = h('div', { class: 'stage' });
  fill(app, ...topbar.build(), nav, stage);
  for (const [name, view] of Object.entries(VIEWS)) built[name] = view.build();
  go('sell');
  scanner.listen((code) => { go('sell'); sell.code(code); }, () => !document.querySelector('dialog[open]'));
  document.addEventListener('keydown', keys);
}

function keys(event) {
  const act = { F2: () => { go('sell'); sell.focus(); }, F4: pay, F8: topbar.sync }[event.key];
  if (!act || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  act();
}

function go(name) {
  const changed = current !== name || !stage.childElementCount;
  current = name;
  if (changed) { fill(stage, built[name]); VIEWS[name].refresh(); }
  showNav();
}

/** The places stay where they are; only which one is open, and how much needs attention, changes. */
function showNav() {
  const needs = topbar.latest()?.needsAttention ?? 0;
  for (const place of nav.querySelectorAll('[data-view]')) {
    if (place.dataset.view === current) place.setAttribute('aria-current', 'page');
    else place.removeAttribute('aria-current');
  }
  draw(badge, needs, () => (needs ? h('b', { class: 'badge', id: 'needs-count' }, needs) : []));
  const identity = topbar.latest()?.identity;
  if (!identity) return;
  document.title = t('title', identity);
  draw(whose, identity, () => [h('b', {}, identity.terminal),
    h('small', {}, t('place', { ...identity, pos: memory.pos() }))]);
}

function told(status) {
  topbar.told(status);
  if (!status) return;
  if (status.catalogVersion !== catalog) {
    catalog = status.catalogVersion;
    sell.refresh();
  }
  const now = JSON.stringify([status.head, status.pending, status.needsAttention, status.synced,
    status.connection?.state]);
  if (now === commits) return;
  commits = now;
  showNav();
  if (['sales', 'attention', 'drawer'].includes(current)) VIEWS[current].refresh();
}

function silent(error) {
  if (error instanceof Refused && error.status === 401) { pairing(true); return; }
  topbar.silent();
}

/** Two windows would share one basket: only one sells. */
async function alone() {
  if (!navigator.locks) return true;
  const take = (steal) => new Promise((resolve) => {
    const options = steal ? { steal: true } : { ifAvailable: true };
    navigator.locks.request('counterfoil-till', options, (lock) => {
      resolve(lock !== null);
      return lock === null ? undefined : new Promise(() => {});
    }).catch(() => location.reload());
  });
  // After a reload the page before may still be about to go.
  for (let tries = 0; tries < 8; tries += 1) {
    if (await take(false)) return true;
    await new Promise((wake) => { setTimeout(wake, 100); });
  }
  return new Promise((resolve) => {
    fill(app, h('section', { class: 'alone card' }, h('h1', {}, t('elsewhere.title')), h('p', {}, t('elsewhere.text')),
      button(t('elsewhere.here'), async () => resolve(await take(true)), { class: 'main' })));
  });
}

function pairing(wrong) {
  const input = h('input', { type: 'password', autocomplete: 'off', id: 'token', 'aria-label': t('pair.token') });
  const submit = (event) => {
    event.preventDefault();
    memory.setToken(input.value.trim());
    location.reload();
  };
  fill(app, h('form', { class: 'alone card', onsubmit: submit }, h('h1', {}, t('pair.title')),
    h('p', {}, t('pair.how')), h('pre', {}, t('pair.command')), h('p', {}, t('pair.paste')), input,
    wrong ? h('p', { class: 'wrong', role: 'alert' }, t('pair.wrong')) : null,
    h('footer', {}, h('button', { type: 'submit', class: 'main' }, t('pair.go')))));
}
