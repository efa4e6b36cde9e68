// What was sold, per day, branch, product.

import { get } from './api.js';
import { h } from './dom.js';
import { money, quantity } from './money.js';
import * as names from './names.js';
import { empty, field, head, show, table, values } from './parts.js';
import * as place from './place.js';
import { t } from './strings.js';

const PARTS = ['day', 'branch', 'product'];
const DAY = 86_400_000;
const SHOWN = 1000;

/** It costs the node what its ledger has, so nobody asks but a person. */
export const still = true;

let list;
let wish;

const day = (millis) => new Date(millis).toISOString().slice(0, 10);

/** Makes the view: the last thirty days. */
export function build() {
  list = h('div', { id: 'report' });
  wish ??= { from: day(Date.now() - 29 * DAY), to: day(Date.now()), by: ['day'] };
  const submit = (event) => { event.preventDefault(); read(form); };
  const form = h('form', { class: 'tools', id: 'report-form', onsubmit: submit },
    field({ name: 'from', label: t('reports.from'), kind: 'date', value: wish.from }),
    field({ name: 'to', label: t('reports.to'), kind: 'date', value: wish.to }),
    h('fieldset', { class: 'field' }, h('legend', {}, t('reports.by')), h('div', { class: 'radios' },
      PARTS.map((part) => field({ name: part, label: t(`reports.${part}`), kind: 'check',
        value: wish.by.includes(part) })))),
    h('button', { type: 'submit', class: 'main', id: 'report-go' }, t('reports.go')));
  form.addEventListener('change', () => read(form));
  return [head(t('reports.title'), t('reports.lead')), form, list];
}

function read(form) {
  const said = values(form);
  wish = { from: said.from, to: said.to, by: PARTS.filter((part) => said[part] !== undefined) };
  if (!wish.by.length) wish.by = ['branch'];
  refresh();
}

/** Fetches and draws. */
export async function refresh() {
  const shop = place.shop();
  const { from, to, by } = wish;
  await show(list, async () => {
    const { rows } = await get('/v1/admin/reports/sales',
      { shopId: shop, branchId: place.branch(), from, to, by: by.join(',') });
    if (by.includes('product')) await names.learn(shop, rows.slice(0, SHOWN).map((row) => row.productId));
    return rows.slice(0, SHOWN).map((row) => ({ ...row, name: row.productId ? names.name(shop, row.productId) : '' }));
  }, (rows) => [rows, by], (rows) => {
    if (!rows.length) return empty(t('reports.empty'));
    const sorted = by.includes('day') ? [...rows].reverse() : [...rows].sort((a, b) => b.moneyMinor - a.moneyMinor);
    return [table(t('reports.title'), columns(by, rows), [...sorted, ...totals(rows)],
      { key: (row) => [row.day, row.branchId, row.productId].filter(Boolean).join(' ') || 'total',
        kind: (row) => (row.total ? 'total' : '') })];
  });
}

/** One line for each currency: money of two is not added up. */
function totals(rows) {
  const sums = new Map();
  for (const row of rows) {
    const sum = sums.get(row.currency)
      ?? { total: true, currency: row.currency, quantityMilli: 0, moneyMinor: 0 };
    sum.quantityMilli += row.quantityMilli;
    sum.moneyMinor += row.moneyMinor;
    sums.set(row.currency, sum);
  }
  return [...sums.values()];
}

function columns(by, rows) {
  const name = (key) => t(`reports.column.${key}`);
  const most = Math.max(...rows.map((row) => row.moneyMinor), 1);
  const first = {
    day: { name: name('day'), cell: (row) => row.day },
    branch: { name: name('branch'), cell: (row) => row.branchId },
    product: { name: name('product'),
      cell: (row) => [row.name, h('small', {}, row.name === row.productId ? t('stock.unknown') : row.productId)] },
  };
  const told = by.map((part, at) => ({ ...first[part], head: at === 0,
    cell: (row) => (row.total ? (at === 0 ? t('reports.total') : '') : first[part].cell(row)) }));
  const count = (key) => (row) => (row.total ? '' : String(row[key]));
  return [...told,
    { name: name('sales'), end: true, cell: count('sales') },
    { name: name('refunds'), end: true, cell: count('refunds') },
    { name: name('quantity'), end: true, cell: (row) => quantity(row.quantityMilli) },
    { name: name('money'), end: true, cell: (row) => h('b', {}, money(row.moneyMinor, row.currency)) },
    { name: '', wide: true, cell: (row) => (row.total ? '' : bar(row.moneyMinor / most)) }];
}

/** How much of the most it is, to see. */
function bar(part) {
  const line = h('i', { class: 'bar-of', 'aria-hidden': 'true' });
  line.style.width = `${Math.max(0, Math.round(part * 100))}%`;
  return line;
}
