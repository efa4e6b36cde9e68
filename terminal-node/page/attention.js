// What needs a person, with why and what to do; and what only waits.

import { get, post } from './api.js';
import { age, button, draw, h, kindOf, time, toast } from './dom.js';
import { correct, correctable, countsElsewhere, giveWay, setAside } from './fix.js';
import { money } from './money.js';
import { address, view } from './receipt.js';
import { t } from './strings.js';

const SHOWN = 200;

let needs;
let waits;
let corrected;

/** Makes the view. */
export function build() {
  needs = h('div', { class: 'rows', id: 'needs' });
  waits = h('div', { class: 'rows', id: 'waits' });
  corrected = h('section', { id: 'corrected' });
  return h('main', { class: 'page' }, h('h1', {}, t('attention.title')), needs,
    h('h2', {}, t('attention.waiting')), waits, corrected);
}

/** Fetches both lists. */
export async function refresh() {
  try {
    const [attention, queue, replaced] = await Promise.all([
      get(`/queue?attention=true&limit=${SHOWN}`), get(`/queue?limit=${SHOWN}`),
      get(`/queue/replaced?limit=${SHOWN}`)]);
    draw(needs, attention, () => (attention.length ? attention.map(problem)
      : h('p', { class: 'hint good' }, t('attention.none'))));
    const waiting = queue.filter((item) => !item.needsAttention);
    const now = Math.floor(Date.now() / 1000);
    draw(waits, [waiting, now], () => (waiting.length ? waiting.map(waiter)
      : h('p', { class: 'hint' }, t('attention.waitingNone'))));
    draw(corrected, replaced, () => (replaced.length ? [h('h2', {}, t('attention.corrected')),
      h('div', { class: 'rows' }, replaced.map(gone).reverse())] : null));
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
      button(t('attention.retry'), () => retry(item),
        { class: correctable(item) ? '' : 'main', 'data-retry': item.localEventId }),
      countsElsewhere(item) ? button(t('attention.giveWay'), () => done(giveWay(item)),
        { class: 'main', 'data-give-way': item.localEventId }) : null,
      correctable(item) ? button(t('fix.open'), () => done(correct(item)),
        { class: 'main', 'data-correct': item.localEventId }) : null));
}

async function done(doing) {
  await doing;
  await refresh();
}

/** A sale that another counts in the place of: it is kept, and says by what. */
function gone(item) {
  return h('div', { class: 'row', 'data-replaced': item.localEventId },
    h('span', { class: 'grow' }, h('b', {}, item.receipt ?? item.localEventId), ' ', t('attention.replacedBy'),
      h('small', {}, time(item.sinceMs))),
    item.byState ? h('span', { class: `state ${item.byState}` }, t(`sales.state.${item.byState}`)) : null,
    item.total ? h('span', { class: 'amount gone' }, money(item.total.minor, item.total.currency)) : null,
    button(t('attention.showOther'), () => open({ posId: item.posId, localEventId: item.by })));
}

function waiter(item) {
  const since = Date.now() - item.atMs;
  return h('div', { class: 'row' }, what(item),
    h('span', { class: 'state pending' }, item.attempts ? t('attention.next') : age(since)), amount(item),
    item.attempts ? button(t('attention.setAside'), () => done(setAside(item)),
      { 'data-aside': item.localEventId }) : null);
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
