// What can be sold: search, edit, import.

import { ask, get, post } from './api.js';
import { button, h, icon, toast } from './dom.js';
import { money, parseMoney, parseScaled, percent, plainMoney } from './money.js';
import { bad, empty, field, form, head, pill, redraw, search, show, table } from './parts.js';
import * as place from './place.js';
import { t } from './strings.js';

const SHOWN = 200;
/** So many pages of the node are searched. */
const PAGES = 30;

let list;
let facts;
let wanted = '';
let currency = 'GBP';

/** Makes the view. */
export function build() {
  wanted = '';
  list = h('div', { id: 'catalog' });
  facts = h('p', { class: 'facts', role: 'status' });
  return [head(t('catalog.title'), null,
    button([icon('up'), h('span', {}, t('catalog.import'))], bring, { id: 'import' }),
    button(t('catalog.add'), () => edit(null), { id: 'add' })),
  h('div', { class: 'tools' }, search(t('catalog.search'), (text) => { wanted = text; refresh(); }), facts), list];
}

/** Fetches and draws. */
export async function refresh() {
  const branch = place.branch();
  const state = (told) => [told.rows, [...told.categories], [...told.prices], branch];
  await show(list, () => fetched(place.shop(), branch), state, ({ rows, categories, prices, whole }) => {
    redraw(facts, rows.length, () => h('b', {}, t('catalog.count', { n: rows.length })));
    if (!rows.length) return empty(t(wanted ? 'catalog.found' : 'catalog.empty'));
    const name = (key) => t(`catalog.column.${key}`);
    return [table(t('catalog.title'), [
      { name: name('name'), head: true, cell: (row) => [row.name, h('small', {}, row.productId)] },
      { name: name('price'), end: true, cell: (row) => [money(row.priceMinor, row.currency),
        prices.has(row.productId) ? h('small', {}, t('catalog.branch',
          { price: money(prices.get(row.productId), row.currency), branch })) : null] },
      { name: name('unit'), cell: (row) => row.unit },
      { name: name('tax'), end: true, wide: true, cell: (row) => `${percent(row.taxPpm)} %` },
      { name: name('category'), wide: true,
        cell: (row) => categories.get(row.category) ?? row.category ?? '' },
      { name: name('codes'), wide: true, cell: (row) => row.barcodes.slice(0, 2).join(' ') },
      { name: '', acts: true, cell: (row) => [row.active ? null : pill('pending', t('catalog.off')),
        button(t('catalog.edit'), () => edit(row), { 'data-key': row.productId, 'data-edit': row.productId,
          'aria-label': t('catalog.editLabel', row) })] },
    ], rows, { key: (row) => row.productId }),
    whole ? null : h('p', { class: 'hint' }, t('limited', { n: SHOWN }))];
  });
}

async function fetched(shopId, branchId) {
  const rows = [];
  let after = null;
  let page = 0;
  do {
    const answer = await get('/v1/admin/catalog', { shopId, search: wanted, after });
    rows.push(...answer.entities.map((row) => row.entity.product));
    after = answer.next;
    page += 1;
  } while (after && rows.length < SHOWN && page < PAGES);
  const [categories, own] = await Promise.all([get('/v1/admin/catalog', { shopId, kind: 'category' }),
    branchId ? get('/v1/admin/catalog', { shopId, branchId, kind: 'branchPrice',
      ids: rows.slice(0, SHOWN).map((row) => row.productId).join('\n') || '!' }) : { entities: [] }]);
  if (rows.length) currency = rows[0].currency;
  return { rows: rows.slice(0, SHOWN), whole: !after && rows.length <= SHOWN,
    categories: new Map(categories.entities.map((row) => [row.id, row.entity.category.name])),
    prices: new Map(own.entities.map((row) => [row.id, row.entity.branchPrice.priceMinor])) };
}

/** Edits a product, or makes one: all of it is one commit. */
async function edit(row) {
  const saved = await form(row ? t('product.edit') : t('product.add'), [
    row ? h('p', { class: 'lead' }, row.productId) : field({ name: 'id', label: t('product.id'), maxlength: 36 }),
    field({ name: 'name', label: t('product.name'), value: row?.name ?? '', maxlength: 200 }),
    h('div', { class: 'pair' }, field({ name: 'price', label: row ? t('product.priceIn', row) : t('product.price'),
      inputmode: 'decimal', value: row ? plainMoney(row.priceMinor, row.currency) : '' }),
    row ? null : field({ name: 'currency', label: t('product.currency'), value: currency, maxlength: 3 }),
    field({ name: 'tax', label: t('product.tax'), inputmode: 'decimal', value: row ? percent(row.taxPpm) : '20' }),
    field({ name: 'unit', label: t('product.unit'), value: row?.unit ?? 'pcs', maxlength: 36 })),
    field({ name: 'barcodes', label: t('product.barcodes'), value: row?.barcodes.join(' ') ?? '' }),
    field({ name: 'active', label: t('product.active'), kind: 'check', value: row?.active ?? true }),
  ], t('product.go'), (said) => save(row, said), { id: 'product-form' });
  if (!saved) return;
  toast(t(saved.changed ? 'product.saved' : 'product.same'));
  await refresh();
}

function save(row, said) {
  const of = row?.currency ?? said.currency.toUpperCase();
  const priceMinor = parseMoney(said.price, of);
  if (priceMinor === null) throw bad(t('product.badPrice', { example: plainMoney(1299, of) }));
  const taxPpm = parseScaled(said.tax, 4, 1_000_000);
  if (taxPpm === null) throw bad(t('product.badTax'));
  const barcodes = [...new Set(said.barcodes.split(/\s+/).filter(Boolean))].sort();
  const product = { category: null, ...row, productId: row?.productId ?? said.id, name: said.name, priceMinor,
    currency: of, taxPpm, unit: said.unit, barcodes, active: said.active !== undefined };
  return post('/v1/admin/catalog', { shopId: place.shop(), edits: [{ put: { product } }] });
}

/** Brings a file: whole, or not at all. */
async function bring() {
  const done = await form(t('importing.title'), [
    field({ name: 'file', label: t('importing.file'), kind: 'file', accept: '.csv,text/csv' }),
    h('pre', {}, 'productId,name,price,currency,taxPercent\ntea,Green tea,2.55,GBP,20'),
  ], t('importing.go'), async ({ file }) => {
    if (!file?.size) throw bad(t('importing.missing'));
    const path = `/v1/admin/catalog/import?${new URLSearchParams({ shopId: place.shop() })}`;
    return ask('POST', path, await file.text(), 'text/csv');
  }, { lead: t('importing.lead'), id: 'import-form' });
  if (!done) return;
  toast(t('importing.done', done));
  await refresh();
}
