// A receipt: on the screen, and on paper of 80 mm.

import { get } from './api.js';
import { button, dialog, h, icon, time, toast } from './dom.js';
import { money, percent, quantity } from './money.js';
import { latest } from './topbar.js';
import { t } from './strings.js';

/** What was handed over is known on this screen only, and until the next customer. */
let handed = null;

/** Shows a receipt after a sale. */
export async function show(pos, id, given) {
  handed = given ? { id, ...given } : null;
  let receipt;
  try {
    receipt = await get(address(pos, id));
  } catch (error) {
    toast(error.message, { bad: true });
    return;
  }
  await view(receipt, true);
}

export const address = (pos, id) => `/receipts/${encodeURIComponent(pos)}/${encodeURIComponent(id)}`;

/** Shows a receipt. `acts` offer to take items back, or all of it. */
export function view(receipt, fresh = false, acts = null) {
  const counts = receipt.kind !== 'refund' && !receipt.replacedBy && !receipt.voidedBy;
  return dialog(t('receipt.title'), 'receipt', (close) => [
    h('div', { class: 'scroll' }, paper(receipt), standing(receipt)),
    h('footer', {},
      button([icon('print'), t('receipt.print')], () => print(receipt), { id: 'print' }),
      acts && counts && !receipt.returned.length
        ? button(t('void.open'), () => { close(); acts.voidIt(); }, { id: 'void-sale' }) : null,
      acts && counts
        ? button(t('receipt.giveBack'), () => { close(); acts.giveBack(); }, { id: 'give-back' }) : null,
      button(fresh ? t('receipt.next') : t('receipt.close'), () => close(),
        { class: 'main', id: 'next', autofocus: true })),
  ]);
}

/** Where it stands in the cloud: its numbers there, or why it is not posted. Not for paper. */
function standing(receipt) {
  const { orderId, serverId, reason, code } = receipt;
  if (!orderId && !serverId && !code) return null;
  const fact = (name, value) => h('div', {}, h('dt', {}, t(`receipt.${name}`)), h('dd', {}, value));
  return h('dl', { class: 'standing', id: 'standing' },
    orderId ? fact('order', orderId) : null, serverId ? fact('server', h('code', {}, serverId)) : null,
    code ? fact('error', [reason, ' ', h('code', {}, code)]) : null);
}

/** Lays a receipt out as it is printed. */
function paper(receipt) {
  const amount = (minor) => money(minor, receipt.currency);
  const sign = receipt.kind === 'refund' ? -1 : 1;
  const row = (name, value, kind = '') => h('div', { class: kind }, h('span', {}, name), h('span', {}, value));
  const { shop = '', branch = '', terminal = '' } = latest()?.identity ?? {};
  const given = handed?.id === receipt.localEventId ? handed : null;
  return h('article', { class: 'paper', 'data-receipt': receipt.receipt ?? '' },
    h('header', {}, h('strong', {}, shop), h('span', {}, branch)),
    h('p', { class: 'when' }, h('span', {}, time(receipt.atMs)), h('span', {}, receipt.receipt
      ? t('receipt.number', { number: receipt.receipt }) : '')),
    receipt.kind === 'refund' ? h('p', { class: 'kind' }, t(receipt.localEventId.startsWith('void-')
      ? 'receipt.void' : 'receipt.refund')) : null,
    receipt.kind === 'correction' ? h('p', { class: 'kind' }, t('receipt.correction')) : null,
    receipt.replacedBy ? h('p', { class: 'kind' }, t('receipt.replaced')) : null,
    receipt.voidedBy ? h('p', { class: 'kind' }, t('receipt.voided')) : null,
    h('ol', {}, receipt.items.map((line) => h('li', {},
      h('span', { class: 'name' }, line.name || line.productId),
      row(`${quantity(line.quantityMilli)} × ${amount(line.unitPriceMinor)}`, amount(sign * (line.amountMinor
        + line.discountMinor))),
      line.discountMinor ? row(t('receipt.off'), amount(-sign * line.discountMinor)) : null))),
    row(t('receipt.total'), amount(sign * receipt.totalMinor), 'sum'),
    receipt.payments.map((payment) => row(t(`pay.tender.${payment.tender}`), amount(sign * payment.amountMinor))),
    given?.change ? [
      row(t('receipt.given', { tender: t('pay.tender.cash') }),
        amount(given.parts.filter((part) => part.tender === 'cash').reduce((all, part) => all + part.minor, 0))),
      row(t('receipt.change'), amount(given.change), 'back'),
    ] : null,
    h('div', { class: 'taxes' }, receipt.taxes.filter((tax) => tax.taxPpm).map((tax) =>
      row(t('receipt.taxAt', { rate: percent(tax.taxPpm) }), amount(sign * tax.taxMinor)))),
    h('footer', {}, h('span', {}, t('receipt.register', { pos: receipt.posId, terminal })),
      h('span', {}, t('receipt.thanks'))));
}

const sheet = new CSSStyleSheet();
document.adoptedStyleSheets.push(sheet);

/** Prints a receipt: 80 mm wide, and as long as it is. */
function print(receipt) {
  const place = document.getElementById('paper');
  place.replaceChildren(paper(receipt));
  document.body.classList.add('printing');
  const height = Math.ceil((place.scrollHeight * 25.4) / 96) + 8;
  sheet.replaceSync(`@page { size: 80mm ${Math.max(60, height)}mm; margin: 0 }`);
  const over = () => { document.body.classList.remove('printing'); place.replaceChildren(); };
  addEventListener('afterprint', over, { once: true });
  window.print();
}
