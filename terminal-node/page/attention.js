// What needs a person, with why and what to do; and what only waits.

import { get, post } from './api.js';
import { age, button, draw, h, kindOf, time, toast } from './dom.js';
import { money } from './money.js';
import { address, view } from './receipt.js';
import { t } from './strings.js';

const SHOWN = 200;

let needs;
let waits;

/** Makes the view. */
export function build() {
  needs = h('div', { class: 'rows', id: 'needs' });
  waits = h('div', { class: 'rows', id: 'waits' });
  return h('main', { class: 'page' }, h('h1', {}, t('attention.title')), needs,
    h('h2', {}, t('attention.waiting')), waits);
}

/** Fetches both lists. */
export async function refresh() {
  try {
    const [attention, queue] = await Promise.all([
      get(`/queue?attention=true&limit=${SHOWN}`), get(`/queue?limit=${SHOWN}`)]);
    draw(needs, attention, () => (attention.length ? attention.map(problem)
      : h('p', { class: 'hint good' }, t('attention.none'))));
    const waiting = queue.filter((item) => !item.needsAttention);
    const now = Math.floor(Date.now() / 1000);
    draw(waits, [waiting, now], () => (waiting.length ? waiting.map(waiter)
      : h('p', { class: 'hint' }, t('attention.waitingNone'))));
  } catch { /* the bar says that the till does not answer */ }
}

const what = (item) => h('span', { class: 'grow' }, h('b', {}, kindOf(item.kind)), ' ', item.receipt ?? item.reference,
  h('small', {}, time(item.atMs)));

const amount = (item) => (item.total
  ? h('span', { class: 'amount' }, money((item.kind === 'refund' ? -1 : 1) * item.total.minor, item.total.currency))
  : null);

function problem(item) {
  return h('article', { class: 'card bad', 'data-code': item.code },
    h('div', { class: 'row' }, what(item), amount(item)),
    h('p', {}, h('b', {}, `${t('attention.why')}: `), item.reason ?? '', ' ', h('code', {}, item.code ?? '')),
    h('footer', {}, h('small', {}, t('attention.tries', { n: item.attempts })),
      item.receipt ? button(t('receipt.title'), () => open(item)) : null,
      button(t('attention.retry'), () => retry(item), { class: 'main', 'data-retry': item.localEventId })));
}

function waiter(item) {
  const since = Date.now() - item.atMs;
  return h('div', { class: 'row' }, what(item),
    h('span', { class: 'state pending' }, item.attempts ? t('attention.next') : age(since)), amount(item));
}

async function open(item) {
  try {
    await view(await get(address(item.posId, item.localEventId)));
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

async function retry(item) {
  try {
    await post('/retry', { posId: item.posId, localEventId: item.localEventId });
    toast(t('attention.retried'));
  } catch (error) {
    toast(error.message, { bad: true });
  }
  await refresh();
}
