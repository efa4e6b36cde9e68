// What a branch has of each product, and what it owes its shelves.

import { get, post } from './api.js';
import { button, h, toast } from './dom.js';
import { parseQuantity, quantity } from './money.js';
import * as names from './names.js';
import {
  bad, choices, complain, empty, field, form, freshId, head, pill, productField, redraw, search, show, table,
} from './parts.js';
import * as place from './place.js';
import { t } from './strings.js';

/** More products than that are searched for, not scrolled to. */
const SHOWN = 200;
/** The pages of the node that are looked at. */
const PAGES = 5;

let list;
let facts;
let only = 'every';
let wanted = '';

/** Makes the view. */
export function build() {
  only = 'every';
  wanted = '';
  list = h('div', { id: 'stock' });
  facts = h('p', { class: 'facts', role: 'status' });
  const here = place.branch();
  return [head(t('stock.title'), t(here ? 'stock.lead' : 'stock.choose'),
    here ? button(t('stock.other'), () => adjust(null), { id: 'adjust' }) : null),
  here ? h('div', { class: 'tools' },
    search(t('catalog.search'), (text) => { wanted = text.toLowerCase(); refresh(); }),
    choices(t('stock.filter'), [['every', t('stock.every')], ['negative', t('stock.negative')]], only,
      (value) => { only = value; refresh(); }), facts) : null,
  here ? list : null];
}

/** Fetches and draws. */
export async function refresh() {
  const [shop, branch] = [place.shop(), place.branch()];
  if (!branch) return;
  await show(list, () => fetched(shop, branch), (told) => [told, only, wanted], ({ rows, open, whole }) => {
    redraw(facts, open, () => (open
      ? h('b', { class: 'off' }, open === 1 ? t('stock.notice1') : t('stock.notices', { n: open })) : []));
    if (!rows.length) {
      return empty(t(only === 'negative' ? 'stock.emptyNegative' : wanted ? 'catalog.found' : 'stock.empty'));
    }
    const name = (key) => t(`stock.column.${key}`);
    return [table(t('stock.title'), [
      { name: name('product'), head: true, cell: (row) => [row.name,
        h('small', {}, row.known ? row.productId : t('stock.unknown'))] },
      { name: name('stock'), end: true, cell: (row) => h('b', { class: row.negative ? 'off' : false },
        [quantity(row.stockMilli), row.unit ? ` ${row.unit}` : '']) },
      { name: name('movements'), end: true, wide: true, cell: (row) => String(row.movements) },
      { name: name('flag'), cell: (row) => (row.negative || row.notices.length || row.stockMilli === 0 ? [
        row.negative ? pill('needsAttention', t('stock.below'))
          : row.stockMilli === 0 ? pill('pending', t('stock.zero')) : null,
        row.notices.length ? pill('pending', t('stock.notice')) : null] : '') },
      { name: '', acts: true, cell: (row) => [
        row.notices.length ? button(t('stock.settle'), () => settle(row), { 'data-key': `settle-${row.productId}`,
          'aria-label': t('stock.settleLabel', row) }) : null,
        button(t('stock.adjust'), () => adjust(row), { 'data-key': `adjust-${row.productId}`,
          'aria-label': t('stock.adjustLabel', row) })] },
    ], rows, { key: (row) => row.productId,
      kind: (row) => (row.negative ? 'bad' : row.notices.length ? 'soft' : '') }),
    whole ? null : h('p', { class: 'hint' }, t('limited', { n: SHOWN }))];
  });
}

/** What is below zero comes first, then what fell below zero and is not settled, then by name. */
const order = (a, b) => Number(b.negative) - Number(a.negative) || b.notices.length - a.notices.length
  || a.name.localeCompare(b.name, undefined, { numeric: true });

async function fetched(shop, branch) {
  const { notifications } = await get('/v1/admin/notifications', { shop, branch });
  let rows = [];
  let after = null;
  let pages = 0;
  do {
    const page = await get('/v1/admin/stock', { shop, branch, after, negative: only === 'negative' ? true : null });
    rows.push(...page.stock);
    after = page.next;
    pages += 1;
  } while (after && pages < PAGES);
  await names.learn(shop, rows.slice(0, 1000).map((row) => row.productId));
  rows = rows.map((row) => ({ ...row, name: names.name(shop, row.productId),
    known: names.product(shop, row.productId) !== null, unit: names.product(shop, row.productId)?.unit ?? '',
    notices: notifications.filter((notice) => notice.productId === row.productId) }));
  rows = rows.filter((row) => `${row.name}\n${row.productId}`.toLowerCase().includes(wanted)).sort(order);
  return { rows: rows.slice(0, SHOWN), open: notifications.length, whole: !after && rows.length <= SHOWN };
}

/** Says that somebody has looked at the shelf. */
async function settle(row) {
  try {
    for (const { movement } of row.notices) {
      await post('/v1/admin/notifications/settle',
        { shopId: place.shop(), branchId: place.branch(), productId: row.productId, movement });
    }
    toast(t('stock.settled'));
  } catch (error) {
    complain(error);
  }
  await refresh();
}

async function adjust(row) {
  const [shop, branch] = [place.shop(), place.branch()];
  // The same name however often it is sent: it counts once.
  const drawn = freshId().slice(0, 12);
  const createdAtMs = Date.now();
  const done = await form(row ? t('stock.adjustLabel', row) : t('adjust.title'), [
    row ? null : productField(shop, { label: t('adjust.product') }),
    field({ name: 'way', label: t('adjust.way'), kind: 'radio', value: 'add',
      options: [['add', t('adjust.add')], ['take', t('adjust.take')]] }),
    field({ name: 'quantity', label: t('adjust.quantity'), inputmode: 'decimal', maxlength: 20 }),
    field({ name: 'reason', label: t('adjust.reason'), maxlength: 100 }),
  ], t('adjust.go'), async ({ product = row?.productId, way, quantity: text, reason }) => {
    const milli = parseQuantity(text);
    if (!milli) throw bad(t('adjust.bad'));
    const deltaMilli = way === 'take' ? -milli : milli;
    const adjustmentId = `${product.slice(0, 23)}-${drawn}`;
    await post('/v1/admin/adjustments', { shopId: shop, branchId: branch, adjustmentId, createdAtMs, reason,
      lines: [{ productId: product, deltaMilli }] });
    return { name: row?.name ?? product, quantity: quantity(deltaMilli) };
  }, { id: 'adjust-form' });
  if (!done) return;
  toast(t('adjust.done', done));
  await refresh();
}
