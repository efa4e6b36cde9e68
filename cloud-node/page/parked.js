// What tills have sold and the cloud could not post: a person decides.

import { pages, post } from './api.js';
import { button, h, toast } from './dom.js';
import { money, price, quantity } from './money.js';
import { bad, complain, empty, field, form, head, show, when } from './parts.js';
import * as place from './place.js';
import { link } from './story.js';
import { has, t } from './strings.js';

let list;

/** Makes the view. */
export function build() {
  list = h('div', { class: 'stack', id: 'parked' });
  return [head(t('parked.title'), t('parked.lead')), list];
}

/** Fetches and draws. */
export async function refresh() {
  const here = place.branch();
  await show(list, () => pages('/v1/admin/parked', { shopId: place.shop() }, 'parked', 5),
    (told) => [told, here], ({ rows }) => {
      const found = rows.filter((row) => !here || row.site?.branch === here).sort((a, b) => a.sinceMs - b.sinceMs);
      return found.length ? found.map(item) : empty(t('parked.empty'));
    });
}

const name = (row) => `${row.terminalId}/${row.posId}/${row.localEventId}`;

function item(row) {
  const body = row.event?.body ?? {};
  const kind = Object.keys(body)[0];
  const trade = body.sale ?? body.refund?.trade;
  const code = has(`parked.code.${row.code}`) ? row.code : 'other';
  const acts = ['accept', 'reject', 'retry'].map((verb) => button(t(`parked.${verb}`), () => decide(row, verb), {
    class: verb === 'retry' ? 'main' : verb === 'reject' ? 'danger' : false, 'data-decide': verb,
    'data-key': `${verb} ${name(row)}` }));
  return h('article', { class: 'card bad', 'data-event': row.localEventId },
    h('div', { class: 'row' }, h('h2', { class: 'grow' }, kind ? t(`parked.kinds.${kind}`) : t('attention.other'), ' ',
      row.event?.reference || row.localEventId), trade ? h('b', { class: 'amount' }, total(trade)) : null),
    h('p', { class: 'from' }, t('parked.from', { terminal: row.terminalId, pos: row.posId }), ' · ',
      row.site ? `${row.site.branch} · ` : '', when(row.event?.atMs ?? row.sinceMs)),
    h('p', {}, t(`parked.code.${code}`), ' ', h('code', {}, row.code)),
    trade ? lines(trade) : row.event ? null : h('p', { class: 'wrong' }, t('parked.unreadable')),
    h('footer', {}, link(row, t('story.open'), { 'data-story': row.localEventId,
      'aria-label': t('story.openLabel', { id: row.localEventId }) }), acts));
}

const total = (trade) => money(trade.payments.reduce((sum, part) => sum + part.amountMinor, 0), trade.currency);

const lines = (trade) => h('ul', { class: 'slip' }, trade.lines.map((line) => h('li', {},
  h('span', {}, `${quantity(line.quantityMilli)} × ${line.name || line.productId}`,
    line.name ? h('small', {}, ` ${line.productId}`) : null),
  h('span', { class: 'amount' }, money((price(line.quantityMilli, line.unitPriceMinor) ?? 0) - line.discountMinor,
    trade.currency)))));

async function decide(row, verb) {
  const send = async ({ reason = '' }) => {
    if (verb === 'reject' && !reason) throw bad(t('parked.reasonNeeded'));
    const { terminalId, posId, localEventId } = row;
    return post('/v1/admin/parked/decide',
      { shopId: place.shop(), terminalId, posId, localEventId, decision: verb, reason });
  };
  let answer;
  try {
    answer = verb === 'retry' ? await send({}) : await form(t(`parked.${verb}Title`), [
      field({ name: 'reason', label: t('reasonLabel'), maxlength: 200 })], t(`parked.${verb}`), send,
    { lead: t(`parked.${verb}Lead`), id: 'decide', danger: verb === 'reject' });
  } catch (error) {
    complain(error);
  }
  if (answer) toast(t(`parked.${answer.status}`), { bad: answer.status === 'waits' });
  await refresh();
}
