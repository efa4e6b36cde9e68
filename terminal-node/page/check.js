// The catalogue against the cloud's: a plan that a manager reads before it is applied.

import { askText, post } from './api.js';
import { ask, button, fill, h, toast } from './dom.js';
import { money, percent } from './money.js';
import { t } from './strings.js';

/** Counting and comparing a large catalogue takes its time. */
const LIMIT = 120_000;

let place;
let run;

/** Makes the view. */
export function build() {
  place = h('div', { id: 'plan', 'aria-live': 'polite' });
  run = button(t('check.run'), compare, { class: 'main', id: 'compare' });
  return h('main', { class: 'page' }, h('h1', {}, t('check.title')), h('p', { class: 'lead' }, t('check.hint')),
    h('p', {}, run), place);
}

export function refresh() { /* nothing is compared before somebody asks for it */ }

async function compare() {
  run.disabled = true;
  fill(run, t('check.running'));
  try {
    show(await post('/verify?exact=true', undefined, LIMIT));
  } catch (error) {
    fill(place, h('p', { class: 'card bad', role: 'alert' }, error.message));
  }
  run.disabled = false;
  fill(run, t('check.run'));
}

function show(verified) {
  const { plan } = verified;
  if (verified.clean) {
    fill(place, h('p', { class: 'card good', id: 'clean' }, t('check.clean')));
    return;
  }
  if (!plan) {
    fill(place, h('section', { class: 'card' }, h('p', {}, t('check.whole')),
      h('footer', {}, button(t('check.apply'), () => apply('null'), { class: 'main', id: 'apply' }))));
    return;
  }
  const { insert: add, update: change, delete: gone, keep } = plan.counts;
  const yes = async () => {
    const values = { n: gone, all: plan.before.count };
    if (verified.needsConfirmation && !await ask(t('check.confirm', values), t('check.confirmYes'))) return;
    await apply(verified.exact);
  };
  fill(place,
    h('p', { class: 'lead', id: 'summary' }, t('check.summary', { change, add, remove: gone, keep })),
    plan.items.length ? h('ol', { class: 'plan' }, plan.items.map(item)) : h('p', { class: 'card' }, t('check.sum')),
    h('footer', { class: 'apply' }, button(t('check.apply'), yes, { class: 'main big', id: 'apply' })));
}

function item(row) {
  return h('li', { class: `card ${row.action}` },
    h('div', { class: 'row' }, h('span', { class: `badge ${row.action}` }, t(`check.action.${row.action}`)),
      h('span', { class: 'grow' }, h('b', {}, row.name || row.id.id),
        h('small', {}, `${t(`check.kind.${row.id.kind}`)} ${row.id.id}`)),
      h('small', { class: 'why' }, t(`check.reason.${row.reason}`))),
    row.changes.length ? h('dl', { class: 'changes' }, row.changes.map((change) => h('div', {},
      h('dt', {}, t(`check.field.${change.field}`)),
      h('dd', {}, change.local ? [h('del', {}, value(change.local)), ' → '] : null,
        h('ins', {}, value(change.cloud)))))) : null,
    row.unsynced ? h('p', { class: 'wrong' }, t('check.unsynced', { n: row.unsynced })) : null);
}

function value(shown) {
  if (!shown) return t('check.nothing');
  if ('text' in shown) return shown.text;
  if ('money' in shown) return money(shown.money.minor, shown.money.currency || 'GBP');
  if ('rate' in shown) return `${percent(shown.rate)} %`;
  if ('flag' in shown) return t(shown.flag ? 'check.yes' : 'check.no');
  return shown.list.join(', ') || t('check.nothing');
}

/** Sends the plan exactly as it came: its sums have more digits than a number of this language. */
async function apply(exact) {
  try {
    await askText('POST', '/plan/apply', exact, LIMIT);
  } catch (error) {
    fill(place, h('p', { class: 'card bad', role: 'alert' }, error.message));
    return;
  }
  if (exact === 'null') {
    fill(place, h('p', { class: 'card good' }, t('check.fetched')));
    return;
  }
  toast(t('check.applied'));
  await compare();
}
