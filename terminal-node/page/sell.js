// Selling: what there is on the left, the basket on the right.

import { get, query } from './api.js';
import * as basket from './basket.js';
import { button, dialog, draw, field, fill, h, icon, toast } from './dom.js';
import { lineAmount, money, parseMoney, parseQuantity, plainMoney, price, quantity } from './money.js';
import { pay } from './pay.js';
import { t } from './strings.js';

const SHOWN = 120;
const WAIT = 120;

let grid;
let chips;
let search;
let category = '';
let names = [];
let asked = 0;
let timer;

/** Makes the view. */
export function build() {
  search = h('input', {
    type: 'search', id: 'search', placeholder: t('sell.search'), 'aria-label': t('sell.searchLabel'),
    'aria-keyshortcuts': 'F2', autocomplete: 'off', spellcheck: 'false',
    oninput: () => { clearTimeout(timer); timer = setTimeout(find, WAIT); },
    onkeydown: entered,
  });
  chips = h('div', { class: 'chips', role: 'group', 'aria-label': t('sell.categories') });
  grid = h('div', { class: 'grid', id: 'grid', role: 'group', 'aria-label': t('sell.products') });
  const side = h('aside', { class: 'basket', 'aria-label': t('basket.title') });
  basket.watch(() => showBasket(side));
  return h('main', { class: 'sell' },
    h('section', { class: 'shelf' }, h('label', { class: 'search' }, icon('search'), search), chips, grid), side);
}

/** Fetches what is shown anew: the catalogue has changed. */
export async function refresh() {
  try {
    names = await get('/categories?limit=200');
    const all = [{ id: '', name: t('sell.all') }, ...names];
    if (!all.some(({ id }) => id === category)) category = '';
    draw(chips, [all, category], () => (names.length ? all.map(({ id, name }) => button(name, () => {
      category = id;
      refresh();
    }, { class: 'chip', 'aria-pressed': String(id === category) })) : []));
  } catch { /* the bar says that the till does not answer */ }
  await find();
}

export const focus = () => search.focus();

async function find() {
  asked += 1;
  const number = asked;
  const text = search.value.trim();
  let found;
  try {
    found = await get(`/products?${query({ search: text, category, limit: SHOWN })}`);
  } catch { return; }
  // Only the answer to the last question counts.
  if (number !== asked) return;
  const hint = !found.length ? t(text || category ? 'sell.none' : 'sell.empty')
    : found.length === SHOWN ? t('sell.more', { n: SHOWN }) : null;
  draw(grid, [found, hint, names], () => [found.map(tile), hint ? h('p', { class: 'hint' }, hint) : null]);
}

function tile(product) {
  const weighed = product.unit !== 'pcs';
  const box = button([
    h('span', { class: 'name' }, product.name),
    h('span', { class: 'sku' }, product.productId),
    h('span', { class: 'price' }, money(product.priceMinor, product.currency),
      weighed ? h('small', {}, ` ${t('sell.perUnit', { unit: product.unit })}`) : null),
  ], () => put(product), { class: 'tile', 'data-sku': product.productId });
  box.style.setProperty('--hue', hue(product.category ?? ''));
  return box;
}

/** Each category has a colour of its own: the golden angle puts neighbours far apart. */
function hue(id) {
  const at = names.findIndex((name) => name.id === id);
  return at < 0 ? 160 : Math.round(160 + at * 137.5) % 360;
}

function put(product, milli) {
  const why = basket.add(product, milli);
  if (why === 'otherCurrency') {
    const values = { have: basket.currency(), want: product.currency, name: product.name };
    toast(t('sell.otherCurrency', values), { bad: true });
  } else if (why) {
    toast(t(`sell.${why}`), { bad: true });
  }
}

async function entered(event) {
  if (event.key !== 'Enter') return;
  event.preventDefault();
  clearTimeout(timer);
  const text = search.value.trim();
  if (!text) return;
  if (/^[ -~]{1,36}$/.test(text) && await code(text, true)) { search.value = ''; await find(); return; }
  await find();
  const tiles = grid.querySelectorAll('.tile');
  if (tiles.length === 1) { tiles[0].click(); search.value = ''; await find(); }
}

/** Takes in a code that was scanned. Returns whether something has it. */
export async function code(text, quiet = false) {
  let found;
  try {
    found = await get(`/products?${query({ code: text })}`);
  } catch { return false; }
  if (found.length === 1) put(found[0]);
  else if (found.length) await dialog(t('sell.choose'), 'small', (close) => h('div', { class: 'list' },
    found.map((product) => button([product.name, ' ', money(product.priceMinor, product.currency)],
      () => { put(product); close(); }))));
  else if (!quiet) toast(t('sell.unknownCode', { code: text }), { bad: true });
  return found.length > 0;
}

function showBasket(side) {
  const lines = basket.all();
  const currency = basket.currency();
  const n = lines.length;
  fill(side,
    h('header', {}, h('h2', {}, t('basket.title')),
      h('span', { class: 'count' }, n ? t(n === 1 ? 'basket.item' : 'basket.items', { n }) : ''),
      n ? button(t('basket.clear'), empty, { class: 'quiet' }) : null),
    n ? h('ol', { class: 'lines', id: 'lines' }, lines.map(row))
      : h('p', { class: 'hint' }, t('basket.empty')),
    h('footer', {},
      h('div', { class: 'total' }, h('span', {}, t('basket.total')),
        h('output', { id: 'total' }, n ? money(basket.total(), currency) : '–')),
      button(n ? t('basket.pay', { amount: money(basket.total(), currency) }) : t('basket.pay', { amount: '' }),
        pay, { class: 'main big', id: 'pay', disabled: !n, 'aria-keyshortcuts': 'F4' })));
  const list = side.querySelector('ol');
  if (list) list.scrollTop = list.scrollHeight;
}

function row(line) {
  const { name } = line;
  const step = (milli) => {
    if (line.quantityMilli + milli <= 0) basket.remove(line.id);
    else basket.change(line.id, { quantityMilli: line.quantityMilli + milli });
  };
  return h('li', {},
    h('button', { type: 'button', class: 'what', onclick: () => edit(line), 'aria-label': t('basket.edit', { name }) },
      h('span', { class: 'name' }, name),
      h('small', {}, `${quantity(line.quantityMilli)} × ${money(line.unitPriceMinor, line.currency)}`,
        line.discountMinor ? `, ${t('basket.off', { amount: money(line.discountMinor, line.currency) })}` : '')),
    h('span', { class: 'stepper' },
      button(icon('minus'), () => step(-1000), { 'aria-label': t('basket.less', { name }) }),
      h('output', {}, quantity(line.quantityMilli)),
      button(icon('plus'), () => step(1000), { 'aria-label': t('basket.more', { name }) })),
    h('output', { class: 'amount' }, money(lineAmount(line), line.currency)));
}

function empty() {
  const before = basket.all();
  basket.clear();
  toast(t('basket.cleared'), { action: t('basket.undo'), act: () => basket.isEmpty() && basket.restore(before) });
}

function edit(line) {
  return dialog(t('line.title'), 'small', (close) => {
    const many = field(line.unit === 'pcs' ? t('line.quantity') : t('line.quantityUnit', { unit: line.unit }),
      { inputmode: 'decimal', value: quantity(line.quantityMilli), autofocus: true });
    const off = field(t('line.discount'), {
      inputmode: 'decimal', value: line.discountMinor ? plainMoney(line.discountMinor, line.currency) : '',
    });
    const wrong = h('p', { class: 'wrong', role: 'alert' });
    const save = (event) => {
      event.preventDefault();
      const quantityMilli = parseQuantity(many.input.value);
      const discountMinor = off.input.value.trim() ? parseMoney(off.input.value, line.currency) : 0;
      if (!quantityMilli) { fill(wrong, t('line.badQuantity')); return; }
      const gross = price(quantityMilli, line.unitPriceMinor);
      if (discountMinor === null || gross === null || discountMinor > gross) {
        fill(wrong, t('line.badDiscount'));
        return;
      }
      const why = basket.change(line.id, { quantityMilli, discountMinor });
      if (why) fill(wrong, t(`sell.${why}`));
      else close();
    };
    return h('form', { onsubmit: save }, h('p', { class: 'hint' }, line.name), many.row, off.row, wrong,
      h('footer', {},
        button(t('line.remove'), () => { basket.remove(line.id); close(); }, { class: 'danger' }),
        h('button', { type: 'submit', class: 'main' }, t('line.save'))));
  });
}
