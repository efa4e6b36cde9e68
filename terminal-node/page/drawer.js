// The register's day: opened with a float, counted at its end, confirmed by the cloud to the cent.

import { get, query } from './api.js';
import * as basket from './basket.js';
import { button, field, fill, h, time, toast } from './dom.js';
import { pos } from './memory.js';
import { money, parseMoney, plainMoney } from './money.js';
import { complete } from './pay.js';
import { t } from './strings.js';

let place;
let drawn = '';

/** Makes the view. */
export function build() {
  place = h('div', { id: 'drawer' });
  return h('main', { class: 'page' }, h('h1', {}, t('drawer.title')), place);
}

/** Fetches the drawer. What somebody is typing stays. */
export async function refresh() {
  let drawer;
  try {
    drawer = await get(`/sessions/current?${query({ posId: pos() })}`);
  } catch { return; }
  const now = JSON.stringify(drawer);
  if (now === drawn && place.childElementCount) return;
  drawn = now;
  fill(place, drawer.open ? opened(drawer.open) : closed(await currency()), drawer.last ? last(drawer.last) : null);
}

/** The drawer counts in the currency of what is sold. */
async function currency() {
  try {
    const [product] = await get('/products?limit=1');
    return product?.currency ?? 'GBP';
  } catch { return 'GBP'; }
}

async function act(path, body) {
  basket.begin(path, body);
  const told = await complete();
  drawn = '';
  await refresh();
  return told;
}

const badAmount = (currency) => t('drawer.badAmount', { example: plainMoney(1250, currency) });

function closed(currency) {
  const float = field(`${t('drawer.float')} (${currency})`,
    { inputmode: 'decimal', id: 'float', value: plainMoney(0, currency) });
  const wrong = h('p', { class: 'wrong', role: 'alert' });
  const submit = async (event) => {
    event.preventDefault();
    const floatMinor = parseMoney(float.input.value, currency);
    if (floatMinor === null) { fill(wrong, badAmount(currency)); return; }
    await act('/sessions/open', { currency, floatMinor });
  };
  return h('form', { class: 'card', onsubmit: submit }, h('p', {}, t('drawer.closed')), float.row, wrong,
    h('footer', {}, h('button', { type: 'submit', class: 'main', id: 'open-drawer' }, t('drawer.open'))));
}

const fact = (name, value) => h('div', {}, h('dt', {}, name), h('dd', {}, value));

const facts = (sheet) => h('dl', { class: 'facts' },
  fact(t('drawer.sales'), sheet.sales), fact(t('drawer.refunds'), sheet.refunds),
  fact(t('drawer.turnover'), money(sheet.turnoverMinor, sheet.currency)),
  fact(t('drawer.cashIn'), money(sheet.cashInMinor, sheet.currency)),
  fact(t('drawer.cashOut'), money(sheet.cashOutMinor, sheet.currency)));

function opened(sheet) {
  return [
    h('section', { class: 'card' },
      h('p', { class: 'hint' }, t('drawer.since', { time: time(sheet.atMs) })), facts(sheet)),
    h('div', { class: 'pair' }, mover(sheet), closer(sheet)),
  ];
}

function mover({ currency }) {
  const amount = field(t('drawer.amount'), { inputmode: 'decimal', id: 'move-amount' });
  const reason = field(t('drawer.reason'), { maxlength: 60, id: 'move-reason' });
  const wrong = h('p', { class: 'wrong', role: 'alert' });
  const move = (sign) => async () => {
    const minor = parseMoney(amount.input.value, currency);
    if (!minor) { fill(wrong, badAmount(currency)); return; }
    if (await act('/sessions/cash', { deltaMinor: sign * minor, reason: reason.input.value.trim() })) {
      toast(t('drawer.moved'));
    }
  };
  return h('section', { class: 'card' }, h('h2', {}, t('drawer.move')), amount.row, reason.row, wrong,
    h('footer', {}, button(t('drawer.takeOut'), move(-1), { id: 'take-out' }),
      button(t('drawer.putIn'), move(1), { class: 'main', id: 'put-in' })));
}

function closer(sheet) {
  const { currency } = sheet;
  const wrong = h('p', { class: 'wrong', role: 'alert' });
  const rows = sheet.tenders.map((tender) => {
    const difference = h('td', { class: 'amount' }, '–');
    const input = h('input', {
      inputmode: 'decimal', autocomplete: 'off', id: `counted-${tender.tender}`,
      'aria-label': `${t('drawer.counted')}: ${t(`pay.tender.${tender.tender}`)}`,
      oninput: () => {
        const counted = parseMoney(input.value, currency);
        const off = counted === null ? null : counted - tender.expectedMinor;
        difference.textContent = off === null ? '–' : money(off, currency);
        difference.className = off ? 'amount off' : 'amount';
      },
    });
    const row = h('tr', {}, h('th', { scope: 'row' }, t(`pay.tender.${tender.tender}`)),
      h('td', { class: 'amount' }, money(tender.expectedMinor, currency)), h('td', {}, input), difference);
    return { tender: tender.tender, input, row };
  });
  const submit = async (event) => {
    event.preventDefault();
    const counted = rows.map(({ tender, input }) => ({ tender, amountMinor: parseMoney(input.value, currency) }));
    if (counted.some(({ amountMinor }) => amountMinor === null)) { fill(wrong, badAmount(currency)); return; }
    await act('/sessions/close', { counted });
  };
  return h('form', { class: 'card', onsubmit: submit }, h('h2', {}, t('drawer.close')),
    h('p', { class: 'hint' }, t('drawer.closeHint')),
    h('table', {}, h('thead', {}, h('tr', {}, ['tender', 'expected', 'counted', 'difference'].map((name) =>
      h('th', { scope: 'col', class: name === 'tender' ? '' : 'amount' }, t(`drawer.${name}`))))),
    h('tbody', {}, rows.map(({ row }) => row))), wrong,
    h('footer', {}, h('button', { type: 'submit', class: 'main', id: 'close-drawer' }, t('drawer.closeNow'))));
}

function last(sheet) {
  const { currency, cloud } = sheet;
  return h('section', { class: `card ${cloud.status}`, id: 'last', 'data-cloud': cloud.status },
    h('h2', {}, t('drawer.last', { time: time(sheet.atMs) })),
    h('p', { class: 'verdict' }, t(`drawer.cloud.${cloud.status}`)), facts(sheet),
    h('table', {}, h('tbody', {}, sheet.tenders.map((tender) => h('tr', {},
      h('th', { scope: 'row' }, t(`pay.tender.${tender.tender}`)),
      h('td', { class: 'amount' }, `${t('drawer.expected')} ${money(tender.expectedMinor, currency)}`),
      h('td', { class: 'amount' }, tender.countedMinor === null ? '–'
        : `${t('drawer.counted')} ${money(tender.countedMinor, currency)}`),
      h('td', { class: tender.differenceMinor ? 'amount off' : 'amount' }, tender.differenceMinor === null ? '–'
        : money(tender.differenceMinor, currency)))))));
}
