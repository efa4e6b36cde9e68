// What was sold here: found again, printed again, taken back.

import { get, query } from './api.js';
import * as basket from './basket.js';
import { button, dialog, draw, fill, h, time, toast } from './dom.js';
import { voidSale } from './fix.js';
import { discountShare, lineAmount, money, quantity, sum } from './money.js';
import { TENDERS, complete } from './pay.js';
import { address, view } from './receipt.js';
import { t } from './strings.js';

const SHOWN = 60;

let wanted;
let list;

/** Makes the view. */
export function build() {
  wanted = h('input', { type: 'search', id: 'find', placeholder: t('sales.find'), 'aria-label': t('sales.findLabel') });
  list = h('div', { class: 'rows', id: 'receipts' });
  const find = (event) => { event.preventDefault(); refresh(); };
  return h('main', { class: 'page' }, h('h1', {}, t('sales.title')),
    h('form', { class: 'ask', onsubmit: find }, wanted, h('button', { type: 'submit' }, t('sales.go'))), list);
}

/** Fetches the list. */
export async function refresh() {
  let found;
  try {
    found = await get(`/receipts?${query({ find: wanted.value.trim(), limit: SHOWN })}`);
  } catch { return; }
  draw(list, found, () => [found.receipts.map(row),
    found.receipts.length ? null : h('p', { class: 'hint' }, t('sales.none')),
    found.complete ? null : h('p', { class: 'hint' }, t('sales.incomplete'))]);
}

function row(receipt) {
  const amount = (receipt.kind === 'refund' ? -1 : 1) * receipt.totalMinor;
  return button([
    h('span', { class: 'grow' }, h('b', {}, t(`sales.${receipt.kind}`)), ' ', receipt.receipt ?? '',
      h('small', {}, `${time(receipt.atMs)} · ${t('sales.register', { pos: receipt.posId })}`)),
    h('span', { class: `state ${receipt.state}` }, t(`sales.state.${receipt.state}`)),
    h('span', { class: 'amount' }, money(amount, receipt.currency)),
  ], () => open(receipt), {
    class: 'row', 'aria-label': t('sales.show', { number: receipt.receipt }), 'data-number': receipt.receipt,
  });
}

async function open(item) {
  try {
    const receipt = await get(address(item.posId, item.localEventId));
    await view(receipt, false, {
      giveBack: () => giveBack(receipt),
      voidIt: async () => { await voidSale(receipt); await refresh(); },
    });
  } catch (error) {
    toast(error.message, { bad: true });
  }
}

/** What of each line can still come back: what was returned is taken off the lines of a product in turn. */
function returnable(receipt) {
  const gone = new Map(receipt.returned.map((back) => [back.productId, back.quantityMilli]));
  return receipt.items.map((line) => {
    const taken = Math.min(line.quantityMilli, gone.get(line.productId) ?? 0);
    gone.set(line.productId, (gone.get(line.productId) ?? 0) - taken);
    return { ...line, left: line.quantityMilli - taken, back: 0 };
  });
}

/** The part of a line that comes back, priced as it was sold. */
const part = (line) => ({ ...line, quantityMilli: line.back, discountMinor: discountShare(line, line.back) });

async function giveBack(receipt) {
  const lines = returnable(receipt);
  if (!lines.some((line) => line.left)) { toast(t('back.nothing')); return; }
  let tender = receipt.payments[0]?.tender ?? 'cash';
  const chosen = await dialog(t('back.title'), 'wide', (close) => {
    const body = h('div', { class: 'rows' });
    const tenders = h('div', { class: 'tenders', role: 'group', 'aria-label': t('back.how') });
    const done = h('button', { type: 'submit', class: 'main big', id: 'refund' });
    const total = () => sum(lines.filter((line) => line.back).map((line) => lineAmount(part(line))));
    const set = (line, milli) => { line.back = Math.max(0, Math.min(line.left, milli)); redraw(); };
    const redraw = () => {
      fill(body, lines.map((line) => h('div', { class: 'row' },
        h('span', { class: 'grow' }, line.name || line.productId,
          h('small', {}, money(line.unitPriceMinor, receipt.currency))),
        h('span', { class: 'stepper' },
          button('−', () => set(line, line.back - 1000),
            { 'aria-label': t('basket.less', { name: line.name }), disabled: !line.back }),
          h('output', {}, quantity(line.back)),
          button('+', () => set(line, line.back + 1000),
            { 'aria-label': t('basket.more', { name: line.name }), disabled: line.back >= line.left })),
        h('small', {}, t('back.left', { n: quantity(line.left) })))));
      fill(tenders, TENDERS.map((name) => button(t(`pay.tender.${name}`), () => { tender = name; redraw(); },
        { class: 'tender', 'aria-pressed': String(name === tender) })));
      fill(done, t('back.done', { amount: money(total(), receipt.currency) }));
      done.disabled = !lines.some((line) => line.back);
    };
    redraw();
    const submit = (event) => { event.preventDefault(); if (!done.disabled) close(lines.filter((line) => line.back)); };
    return h('form', { onsubmit: submit }, h('p', { class: 'hint' }, t('back.hint', { number: receipt.receipt })),
      button(t('back.all'), () => { lines.forEach((line) => { line.back = line.left; }); redraw(); },
        { id: 'all-back', autofocus: true }),
      body, h('p', { class: 'label' }, t('back.how')), tenders, h('footer', {}, done));
  });
  if (!chosen) return;
  basket.begin('/refunds', {
    currency: receipt.currency,
    lines: basket.asSent(chosen.map(part)),
    tender,
    original: receipt.key,
    reference: (receipt.receipt ?? '').slice(0, 100),
  });
  await complete();
  await refresh();
}
