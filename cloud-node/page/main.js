// The operator's pages: puts the parts together, and follows the node.

import * as api from './api.js';
import * as catalog from './catalog.js';
import { button, draw, fill, h, icon } from './dom.js';
import * as fleet from './fleet.js';
import './icons.js';
import * as log from './log.js';
import { login } from './login.js';
import * as orders from './orders.js';
import * as parked from './parked.js';
import { complain, problem } from './parts.js';
import * as place from './place.js';
import * as reports from './reports.js';
import * as stock from './stock.js';
import * as story from './story.js';
import { language, t } from './strings.js';
import * as terminal from './terminal.js';

const VIEWS = { fleet, stock, parked, catalog, orders, reports, log, till: terminal, story };
/** Views that are reached from the fleet. */
const INNER = ['till', 'story'];
const PLACES = Object.keys(VIEWS).filter((name) => !INNER.includes(name));

/** After an answer, a page asks by itself only after so many times as long as that took. */
const REST = 8;

const app = document.getElementById('app');
let parts = null;
let current = null;
let run = 0;
let silent = false;
let following = 'polling';
let busy = false;
let again = false;
let rested = 0;
let due = null;

document.documentElement.lang = language;
api.notify({ ended: () => { if (parts) begin(t('login.ended')); }, heard });
window.addEventListener('hashchange', () => { if (parts) go(true); });
begin();

/** Shows the pages to who is logged in, and the login to who is not. */
async function begin(why = null) {
  run += 1;
  parts = null;
  const mine = run;
  for (const box of document.querySelectorAll('dialog[open]')) box.close();
  fill(app, h('p', { class: 'alone' }, t('starting')));
  for (let wait = why !== null; ; wait = true) {
    if (wait) await login(app, why);
    try {
      await place.load();
      break;
    } catch (error) {
      if (error.status !== 401) {
        fill(app, h('main', { class: 'alone' }, problem(error)));
        await new Promise((wake) => { setTimeout(wake, 3000); });
        wait = false;
      }
      why = null;
    }
  }
  frame();
  go(false);
  api.follow(news, (state) => { following = state; bar(); }, () => mine !== run);
}

function frame() {
  parts = {
    shop: h('select', { id: 'shop', 'aria-label': t('bar.shop'), onchange: () => settle(parts.shop.value) }),
    branch: h('select', { id: 'branch', 'aria-label': t('bar.branch'),
      onchange: () => settle(parts.shop.value, parts.branch.value) }),
    link: h('span', { id: 'link', class: 'pill', role: 'status' }),
    banner: h('div', { class: 'banner', role: 'alert', hidden: true }, icon('offline'), h('p', {}, t('silent'))),
    stage: h('main', { class: 'page', id: 'content', tabindex: '-1' }),
  };
  parts.badge = h('span');
  parts.nav = h('nav', { 'aria-label': t('navLabel') }, PLACES.map((name) => h('a',
    { href: `#/${name}`, 'data-view': name }, icon(name), h('span', {}, t(`nav.${name}`)),
    name === 'parked' ? parts.badge : null)));
  const skip = h('a', { class: 'skip', href: '#content',
    onclick: (event) => { event.preventDefault(); parts.stage.focus(); } }, t('skip'));
  fill(app, skip, h('header', { class: 'bar', 'aria-label': t('bar.label') }, h('b', { class: 'brand' }, t('name')),
    h('label', {}, h('small', {}, t('bar.shop')), parts.shop),
    h('label', {}, h('small', {}, t('bar.branch')), parts.branch), h('span', { class: 'space' }), parts.link,
    button([icon('out'), h('span', {}, t('bar.out'))], leave,
      { id: 'logout', class: 'quiet', 'aria-label': t('bar.out') })),
  parts.banner, parts.nav, parts.stage);
  bar();
}

/** Draws what stands above: where one is, and whether the node is heard. */
function bar() {
  if (!parts) return;
  const option = (value, text, chosen) => h('option', { value, selected: value === chosen }, text);
  const { shop, branch } = { shop: place.shop(), branch: place.branch() };
  draw(parts.shop, [place.shops(), shop], () => place.shops().map((name) => option(name, name, shop)));
  draw(parts.branch, [shop, place.branches(), branch], () => [option('', t('bar.everywhere'), branch),
    ...place.branches().map((name) => option(name, name, branch))]);
  const state = silent ? 'silent' : following;
  parts.link.className = `pill ${silent ? 'offline' : following === 'live' ? 'online' : 'starting'}`;
  parts.link.dataset.state = state;
  draw(parts.link, state, () => [h('i', {}), h('span', {}, t(`bar.${state}`))]);
  parts.banner.hidden = !silent;
}

function heard(there) {
  silent = !there;
  bar();
}

function settle(shop, branch = '') {
  place.choose(shop, branch);
  bar();
  go(false);
}

/** Shows the view that the address names. */
function go(byPerson) {
  const [, name = 'fleet', ...rest] = location.hash.split('/');
  const view = VIEWS[name] ? name : 'fleet';
  const param = rest.length ? decodeURIComponent(rest.join('/')) : null;
  current = VIEWS[view];
  const calls = { places };
  if (!place.shop() && view !== 'log') current = { build: () => fleet.welcome(calls), refresh: () => {} };
  fill(parts.stage, current.build(param, calls));
  for (const link of parts.nav.querySelectorAll('a')) {
    const here = link.dataset.view === (INNER.includes(view) ? 'fleet' : view);
    if (here) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
  }
  document.title = t('title', { view: param ?? t(`nav.${view}`) });
  parts.stage.scrollTo(0, 0);
  if (byPerson) parts.stage.querySelector('h1')?.focus({ preventScroll: true });
  refresh();
}

/** Asks anew for what is shown; one at a time. */
async function refresh() {
  if (busy) { again = true; return; }
  busy = true;
  const [shown, start] = [current, Date.now()];
  await Promise.all([shown.refresh(), count()]);
  busy = false;
  rested = Date.now() + REST * (Date.now() - start);
  if (again || shown !== current) { again = false; refresh(); }
}

/** Reads shops and branches anew: one was made. */
async function places(shop, branch) {
  if (shop) place.choose(shop, branch);
  await place.load();
  bar();
  go(false);
}

/** How much waits for a person. */
async function count() {
  if (!place.shop()) return;
  try {
    const { parked: waiting, next } = await api.get('/v1/admin/parked', { shopId: place.shop() });
    const text = waiting.length ? `${waiting.length}${next ? '+' : ''}` : '';
    if (parts) draw(parts.badge, text, () => (text ? h('b', { class: 'badge', id: 'parked-count' }, text) : []));
  } catch { /* the bar says so */ }
}

/** Something was committed. A node that takes long to answer is asked less often. */
function news() {
  if (!parts || due || document.hidden) return;
  due = setTimeout(() => {
    due = null;
    if (parts && !current.still) refresh();
  }, Math.max(0, rested - Date.now()));
}

document.addEventListener('visibilitychange', news);

// Ages grow, and commits of other nodes are not told of.
setInterval(news, 30_000);

async function leave() {
  try {
    await api.post('/logout');
  } catch (error) {
    complain(error);
    return;
  }
  begin(t('bar.outDone'));
}
