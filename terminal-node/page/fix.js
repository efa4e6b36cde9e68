// A sale that went wrong: corrected, voided, set aside, or left to the other one.

import { get, post } from './api.js';
import * as basket from './basket.js';
import { button, dialog, field, fill, h, toast } from './dom.js';
import { discountShare, lineAmount, money, parseQuantity, quantity, sum } from './money.js';
import { complete } from './pay.js';
import { address, show } from './receipt.js';
import { t } from './strings.js';

const REASON_MAX = 100;

/** Whether a correction can end what is wrong with an item of the queue. */
export const correctable = (item) => ['sale', 'correction'].includes(item.kind) && item.code && !countsElsewhere(item);

/** Whether the cloud says that another event counts in its place. */
export const countsElsewhere = (item) =>
  ['POS_SYNC_ORIGINAL_POSTED', 'POS_SYNC_EVENT_WITHDRAWN'].includes(item.code);

const sale = (item) => `/sales/${encodeURIComponent(item.posId)}/${encodeURIComponent(item.localEventId)}`;

/** Asks what was really sold, and records that in place of the sale. */
export async function correct(item) {
  let receipt;
  try {
    receipt = await get(address(item.posId, item.localEventId));
  } catch (error) {
    toast(error.message, { bad: true });
    return;
  }
  const fixed = await dialog(t('fix.title'), 'wide', (close) => form(receipt, close));
  if (!fixed) return;
  const total = sum(fixed.map(lineAmount));
  const same = total === receipt.totalMinor;
  basket.begin(`${sale(item)}/correct`, {
    posId: item.posId,
    currency: receipt.currency,
    lines: basket.asSent(fixed),
    ...(same ? { payments: receipt.payments } : { tender: receipt.payments[0]?.tender ?? 'cash' }),
    reference: receipt.reference,
  });
  await complete();
}

/** The lines with the code and the quantity of each, as they were sold; the price stays what was paid. */
function form(receipt, close) {
  const lines = receipt.items.map((line) => ({ ...line, was: line.productId }));
  const total = h('output', { id: 'fixed-total' });
  const note = h('p', { class: 'hint', role: 'alert' });
  const done = h('button', { type: 'submit', class: 'main big', id: 'correct' }, t('fix.done'));
  const part = (line) => ({ ...line, discountMinor: line.quantityMilli === line.sold
    ? line.discountMinor : discountShare({ ...line, quantityMilli: line.sold }, line.quantityMilli) });
  lines.forEach((line) => { line.sold = line.quantityMilli; });
  const left = () => lines.filter((line) => line.quantityMilli > 0).map(part);
  const redraw = () => {
    const sums = sum(left().map(lineAmount));
    fill(total, money(sums, receipt.currency));
    const was = money(receipt.totalMinor, receipt.currency);
    fill(note, sums === receipt.totalMinor ? '' : t('fix.differs', { was }));
    done.disabled = !left().length || lines.some((line) => !line.productId || line.quantityMilli === null);
  };
  const rows = lines.map((line, index) => {
    const code = field(t('fix.code'), { value: line.productId, 'data-line': index, maxlength: 36 });
    const many = field(t('fix.quantity'), { value: quantity(line.quantityMilli), inputmode: 'decimal' });
    const name = h('small', {}, line.name);
    code.input.addEventListener('input', () => { line.productId = code.input.value.trim(); redraw(); });
    code.input.addEventListener('change', async () => {
      try {
        const found = await get(`/products/${encodeURIComponent(line.productId)}`);
        line.name = found.name;
        fill(name, found.name);
      } catch { fill(name, t('fix.unknown')); }
    });
    many.input.addEventListener('input', () => { line.quantityMilli = parseQuantity(many.input.value); redraw(); });
    return h('div', { class: 'row fix' }, h('span', { class: 'grow' }, name), code.row, many.row,
      h('span', { class: 'amount' }, money(line.unitPriceMinor, receipt.currency)));
  });
  redraw();
  const submit = (event) => { event.preventDefault(); if (!done.disabled) close(left()); };
  return h('form', { onsubmit: submit }, h('p', { class: 'hint' }, t('fix.hint', { number: receipt.receipt })),
    h('div', { class: 'rows' }, rows), note,
    h('footer', {}, h('b', {}, `${t('receipt.total')} `, total), done));
}

/** Asks why, and takes everything of a sale back. */
export async function voidSale(receipt) {
  const why = field(t('void.reason'), { id: 'void-reason', maxlength: REASON_MAX });
  const reason = await dialog(t('void.title'), 'small', (close) => h('form', {
    onsubmit: (event) => { event.preventDefault(); if (why.input.value.trim()) close(why.input.value.trim()); },
  }, h('p', { class: 'hint' }, t('void.hint', { number: receipt.receipt,
    amount: money(receipt.totalMinor, receipt.currency) })), why.row,
  h('footer', {}, button(t('cancel'), () => close()), h('button', { type: 'submit', class: 'main', id: 'void' },
    t('void.done')))));
  if (!reason) return;
  const told = await order(`${sale(receipt)}/void`, { reason });
  if (told) await show(receipt.posId, told.localEventId);
}

/** Sets an item aside: it is not sent until it is tried again. */
export const setAside = (item) => order('/queue/park', named(item), t('attention.aside'));

/** Lets the other one count. */
export const giveWay = (item) => order('/queue/give-way', named(item), t('attention.gave'));

const named = ({ posId, localEventId }) => ({ posId, localEventId });

async function order(path, body, said = null) {
  try {
    const told = await post(path, body);
    if (said) toast(said);
    return told;
  } catch (error) {
    toast(error.message, { bad: true });
    return null;
  }
}
