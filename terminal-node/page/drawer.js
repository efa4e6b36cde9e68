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
/** The forms of the session that is open: what somebody is typing outlives each refresh. */
let forms = null;

/** Makes the view. */
export function build() {
  place = h('div', { id: 'drawer', class: 'stack' });
  return h('main', { class: 'page' }, h('h1', {}, t('drawer.title')), place);
}

/** Fetches the drawer. */
export async function refresh() {
  let drawer;
  try {
    drawer = await get(`/sessions/current?${query({ posId: pos() })}`);
  } catch { return; }
  const now = JSON.stringify(drawer);
  if (now === drawn && place.childElementCount) return;
  const { open } = drawer;
  if (open && forms?.session === open.sessionId && place.contains(forms.sums)) {
    forms.update(open);
  } else {
    forms = open ? opened(open) : null;
    fill(place, forms ? [forms.sums, forms.pair] : closed(await currency()), drawer.last ? last(drawer.last) : null);
  }
  drawn = now;
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
  const sums = h('section', { class: 'card' });
  const closing = closer(sheet);
  const update = (now) => {
    fill(sums, h('p', { class: 'lead' }, t('drawer.since', { time: time(now.atMs) })), facts(now));
    closing.update(now);
  };
  update(sheet);
  return { session: sheet.sessionId, sums, pair: h('div', { class: 'pair' }, mover(sheet), closing.form), update };
}

function mover({ currency }) {
  const amount = field(t('drawer.amount'), { inputmode: 'decimal', id: 'move-amount' });
  const reason = field(t('drawer.reason'), { maxlength: 60, id: 'move-reason' });
  const wrong = h('p', { class: 'wrong', role: 'alert' });
  const move = (sign) => async () => {
    const minor = parseMoney(amount.input.value, currency);
    if (!minor) { fill(wrong, badAmount(currency)); return; }
    fill(wrong);
    if (await act('/sessions/cash', { deltaMinor: sign * minor, reason: reason.input.value.trim() })) {
      amount.input.value = '';
      reason.input.value = '';
      toast(t('drawer.moved'));
    }
  };
  return h('section', { class: 'card' }, h('h2', {}, t('drawer.move')), amount.row, reason.row, wrong,
    h('footer', {}, button(t('drawer.takeOut'), move(-1), { id: 'take-out' }),
      button(t('drawer.putIn'), move(1), { class: 'main', id: 'put-in' })));
}

/** A difference says which way it goes. */
const signed = (minor, currency) => (minor > 0 ? '+' : '') + money(minor, currency);

function closer({ currency }) {
  const wrong = h('p', { class: 'wrong', role: 'alert' });
  const body = h('tbody');
  const rows = new Map();
  const row = (tender) => {
    const expected = h('td', { class: 'amount' });
    const difference = h('td', { class: 'amount' });
    const input = h('input', {
      inputmode: 'decimal', autocomplete: 'off', id: `counted-${tender}`,
      'aria-label': `${t('drawer.counted')}: ${t(`pay.tender.${tender}`)}`,
    });
    const made = { tender, input, minor: 0 };
    made.show = (minor) => {
      made.minor = minor;
      const counted = parseMoney(input.value, currency);
      const off = counted === null ? null : counted - minor;
      expected.textContent = money(minor, currency);
      difference.textContent = off === null ? '–' : signed(off, currency);
      difference.className = off ? 'amount off' : 'amount';
    };
    input.addEventListener('input', () => made.show(made.minor));
    body.append(h('tr', {}, h('th', { scope: 'row' }, t(`pay.tender.${tender}`)), expected, h('td', {}, input),
      difference));
    return made;
  };
  const update = (sheet) => sheet.tenders.forEach(({ tender, expectedMinor }) => {
    if (!rows.has(tender)) rows.set(tender, row(tender));
    rows.get(tender).show(expectedMinor);
  });
  const submit = async (event) => {
    event.preventDefault();
    const counted = [...rows.values()]
      .map(({ tender, input }) => ({ tender, amountMinor: parseMoney(input.value, currency) }));
    if (counted.some(({ amountMinor }) => amountMinor === null)) { fill(wrong, badAmount(currency)); return; }
    await act('/sessions/close', { counted });
  };
  const form = h('form', { class: 'card', onsubmit: submit }, h('h2', {}, t('drawer.close')),
    h('p', { class: 'lead' }, t('drawer.closeHint')),
    h('table', {}, h('thead', {}, h('tr', {}, ['tender', 'expected', 'counted', 'difference'].map((name) =>
      h('th', { scope: 'col', class: name === 'tender' ? '' : 'amount' }, t(`drawer.${name}`))))), body), wrong,
    h('footer', {}, h('button', { type: 'submit', class: 'main', id: 'close-drawer' }, t('drawer.closeNow'))));
  return { form, update };
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
        : signed(tender.differenceMinor, currency)))))));
}
