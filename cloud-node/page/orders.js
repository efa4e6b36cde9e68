// Online orders: place, cancel; and what the online store does not get to see.

import { pages, post } from './api.js';
import * as buffer from './buffer.js';
import { button, dialog, h, toast } from './dom.js';
import { parseQuantity, quantity } from './money.js';
import * as names from './names.js';
import { bad, complain, empty, field, form, head, pill, productField, show, table, when } from './parts.js';
import * as place from './place.js';
import { t } from './strings.js';

const LINES = 12;

let list;

/** Makes the view. */
export function build() {
  list = h('div', { id: 'orders' });
  const here = place.branch();
  return [head(t('orders.title'), t(here ? 'orders.lead' : 'orders.choose'),
    here ? button(t('orders.place'), enter, { class: 'main', id: 'place' }) : null), list,
  here ? buffer.build() : null];
}

/** Fetches and draws. */
export async function refresh() {
  const [shop, branch] = [place.shop(), place.branch()];
  if (branch) buffer.refresh();
  await show(list, async () => {
    const { rows, next } = await pages('/v1/admin/orders', { shopId: shop, branchId: branch }, 'orders', 5);
    const latest = rows.sort((a, b) => b.createdAtMs - a.createdAtMs).slice(0, 200);
    await names.learn(shop, latest.flatMap((row) => row.lines.map((line) => line.productId)));
    return { whole: next === null && rows.length <= 200, rows: latest.map((row) => ({ ...row,
      what: row.lines.map((line) => `${quantity(line.quantityMilli)} × ${names.name(shop, line.productId)}`) })) };
  }, (told) => [told, branch], ({ rows, whole }) => {
    if (!rows.length) return empty(t('orders.empty'));
    const name = (key) => t(`orders.column.${key}`);
    return [table(t('orders.title'), [
      { name: name('order'), head: true, cell: (row) => row.orderId },
      { name: name('branch'), wide: Boolean(branch), cell: (row) => row.branchId },
      { name: name('made'), cell: (row) => when(row.createdAtMs) },
      { name: name('lines'), cell: (row) => h('ul', {}, row.what.map((line) => h('li', {}, line))) },
      { name: name('state'), cell: (row) => [pill(row.cancelledAtMs ? 'gone' : 'synced',
        t(row.cancelledAtMs ? 'orders.cancelled' : 'orders.taken')),
      row.others ? pill('needsAttention', t('orders.others', { n: row.others })) : null] },
      { name: '', acts: true, cell: (row) => (row.cancelledAtMs ? '' : button(t('orders.cancel'), () => cancel(row),
        { 'data-cancel': row.orderId, 'data-key': row.orderId,
          'aria-label': t('orders.cancelLabel', { order: row.orderId }) })) },
    ], rows, { key: (row) => row.orderId, kind: (row) => (row.cancelledAtMs ? 'gone' : '') }),
    whole ? null : h('p', { class: 'hint' }, t('limited', { n: 200 }))];
  });
}

async function enter() {
  const [shop, branch] = [place.shop(), place.branch()];
  const createdAtMs = Date.now();
  const rows = h('div', { class: 'order-lines' });
  const more = button(t('order.more'), () => {
    const n = rows.childElementCount + 1;
    rows.append(h('div', { class: 'pair' },
      productField(shop, { name: `product-${n}`, label: t('order.product', { n }) }),
      field({ name: `quantity-${n}`, label: t('order.quantity', { n }), value: '1', inputmode: 'decimal',
        maxlength: 20 })));
    more.disabled = n >= LINES;
  }, { class: 'quiet' });
  more.click();
  const done = await form(t('order.title'), [
    field({ name: 'id', label: t('order.id'), maxlength: 36 }), rows, more], t('order.go'), (said) => {
    const lines = [];
    for (let n = 1; n <= rows.childElementCount; n += 1) {
      const product = said[`product-${n}`];
      if (!product && n > 1) continue;
      const quantityMilli = parseQuantity(said[`quantity-${n}`]);
      if (!product || !quantityMilli) throw bad(t('order.bad'));
      lines.push({ productId: product, quantityMilli });
    }
    return post('/v1/admin/orders', { shopId: shop, branchId: branch, orderId: said.id, createdAtMs, lines });
  }, { id: 'order-form', kind: 'wide' });
  if (!done) return;
  toast(t(done.again ? 'order.again' : 'order.done', { order: done.orderId }));
  await refresh();
}

async function cancel(row) {
  const { orderId: order } = row;
  const yes = await dialog(t('orders.cancelLabel', { order }), 'small', (close) => h('div', { class: 'sure' },
    h('p', {}, t('orders.cancelAsk', { order })), h('footer', {}, button(t('orders.keep'), () => close(false)),
      button(t('orders.cancelYes'), () => close(true), { class: 'main danger', id: 'sure' }))));
  if (!yes) return;
  try {
    await post(`/v1/admin/orders/${encodeURIComponent(row.orderId)}/cancel`,
      { shopId: place.shop(), branchId: row.branchId, createdAtMs: Date.now() });
    toast(t('orders.done', { order: row.orderId }));
  } catch (error) {
    complain(error);
  }
  await refresh();
}
