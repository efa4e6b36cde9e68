// Payment: how the money comes in, what goes back as change, and the one recording of the sale.

import { Refused } from './api.js';
import * as basket from './basket.js';
import { button, dialog, field, fill, h, icon, toast } from './dom.js';
import { likelyCash, money, parseMoney, plainMoney, sum } from './money.js';
import { show } from './receipt.js';
import { t } from './strings.js';

export const TENDERS = ['cash', 'card', 'other'];
const PARTS_MAX = 8;

/** Takes the money for the basket, records the sale, and shows its receipt. */
export async function pay() {
  if (basket.isEmpty() || basket.underWay() || document.querySelector('dialog[open]')) return;
  const due = basket.total();
  const currency = basket.currency();
  const paid = await takeMoney(due, currency);
  if (!paid) return;
  const applied = settle(paid, due);
  basket.begin('/sales', {
    currency,
    lines: basket.asSent(basket.all()),
    payments: applied.payments,
  }, { empties: true, given: { parts: paid, change: applied.change } });
  await complete();
}

/** What is handed over, less the change: what the till books. Cash of several parts is one payment. */
export function settle(parts, due) {
  const other = parts.filter((part) => part.tender !== 'cash');
  const cash = sum(parts.filter((part) => part.tender === 'cash').map((part) => part.minor));
  const rest = due - sum(other.map((part) => part.minor));
  const payments = [...other, { tender: 'cash', minor: Math.min(cash, rest) }]
    .filter((part) => part.minor > 0)
    .map((part) => ({ tender: part.tender, amountMinor: part.minor }));
  return { payments, change: Math.max(0, cash - rest) };
}

/** Records what is under way, behind a curtain, and shows the receipt. */
export async function complete({ quiet = false } = {}) {
  let lift;
  const note = h('p', { role: 'alert' }, t('pay.waiting'));
  const curtain = h('dialog', { class: 'box small curtain', id: 'recording' }, note);
  curtain.addEventListener('cancel', (event) => event.preventDefault());
  const timer = setTimeout(() => { document.body.append(curtain); curtain.showModal(); lift = true; }, 150);
  try {
    const { told, begun } = await basket.finish((why) => {
      fill(note, why === null ? t('pay.silent') : t('pay.trouble', { why }));
    });
    clearTimeout(timer);
    if (lift) curtain.close();
    curtain.remove();
    if (quiet) toast(t('pay.finished'));
    if (told.receipt && begun.path !== '/events') await show(begun.body.posId, begun.body.localEventId, begun.given);
    return told;
  } catch (error) {
    clearTimeout(timer);
    if (lift) curtain.close();
    curtain.remove();
    if (!(error instanceof Refused)) throw error;
    toast(t('pay.refused', { why: error.message }), { bad: true });
    return null;
  }
}

/** Asks how it is paid. Returns the parts as they are handed over, or nothing. */
function takeMoney(due, currency) {
  const parts = [];
  let tender = 'cash';
  return dialog(t('pay.title'), 'pay', (close) => {
    // Whoever types on at once must not find it emptied: it has the focus from the first moment.
    const amount = field(t('pay.given'), { inputmode: 'decimal', id: 'given', autofocus: '' });
    amount.input.addEventListener('focus', () => amount.input.select());
    const tenders = h('div', { class: 'tenders', role: 'group', 'aria-label': t('pay.tenders') });
    const quick = h('div', { class: 'quick' });
    const list = h('ul', { class: 'parts' });
    const sums = h('dl', { class: 'sums' });
    const wrong = h('p', { class: 'wrong', role: 'alert' });
    const done = h('button', { type: 'submit', class: 'main big', id: 'complete' }, t('pay.done'));
    const add = button(t('pay.add'), () => takePart() && redraw(), { class: 'quiet' });
    const left = () => due - sum(parts.map((part) => part.minor));

    const typed = () => parseMoney(amount.input.value, currency);
    /** Returns why the amount in the field cannot be, or null. */
    const problem = () => {
      const minor = typed();
      if (minor === null) return 'badAmount';
      return tender !== 'cash' && minor > left() ? 'tooMuch' : null;
    };
    const takePart = () => {
      const why = problem();
      if (why || typed() === 0) { fill(wrong, t(`pay.${why ?? 'badAmount'}`)); return false; }
      parts.push({ tender, minor: typed() });
      return true;
    };
    const follow = () => {
      const minor = typed() ?? 0;
      const after = left() - minor;
      fill(wrong);
      fill(sums,
        h('div', {}, h('dt', {}, t('pay.due')), h('dd', {}, money(due, currency))),
        after > 0 ? h('div', { class: 'left' }, h('dt', {}, t('pay.left')), h('dd', {}, money(after, currency)))
          : h('div', { class: 'change' }, h('dt', {}, t('pay.change')),
            h('dd', { id: 'change' }, money(tender === 'cash' || left() < 0 ? -after : 0, currency))));
      done.disabled = problem() !== null || after > 0;
      add.disabled = problem() !== null || minor === 0 || after <= 0 || parts.length >= PARTS_MAX;
    };
    const redraw = () => {
      amount.input.value = plainMoney(Math.max(0, left()), currency);
      fill(tenders, TENDERS.map((name) => button(t(`pay.tender.${name}`), () => { tender = name; redraw(); },
        { class: 'tender', 'aria-pressed': String(name === tender), 'data-tender': name })));
      const likely = tender === 'cash' && left() > 0 ? [left(), ...likelyCash(left(), currency)] : [];
      fill(quick, likely.map((minor, i) => button(i ? money(minor, currency) : t('pay.exact'), () => {
        amount.input.value = plainMoney(minor, currency);
        follow();
        done.focus();
      })));
      fill(list, parts.map((part, i) => h('li', {}, t(`pay.tender.${part.tender}`), ' ', money(part.minor, currency),
        h('button', {
          type: 'button', class: 'quiet', 'aria-label': t('pay.remove'),
          onclick: () => { parts.splice(i, 1); redraw(); },
        }, icon('close')))));
      follow();
      amount.input.focus();
      amount.input.select();
    };
    amount.input.addEventListener('input', follow);
    const submit = (event) => {
      event.preventDefault();
      if (done.disabled) return;
      if (typed() > 0 && !takePart()) return;
      close(parts);
    };
    if (due === 0) {
      fill(done, t('pay.free'));
      return h('form', { onsubmit: (event) => { event.preventDefault(); close([]); } }, h('footer', {}, done));
    }
    redraw();
    return h('form', { onsubmit: submit }, tenders, amount.row, quick, list, sums, wrong,
      h('footer', {}, add, done));
  });
}
