// A till's plan for its catalogue, to read.

import { dialog, h } from './dom.js';
import { money, percent } from './money.js';
import { t } from './strings.js';

/** Shows what a check has found at a till: a plan is text for people, or a value with its items. */
export function showPlan(run) {
  const plan = read(run.plan);
  const counts = run.counts ?? plan?.counts;
  const rows = plan?.items ? h('ol', { class: 'plan' }, plan.items.map(item))
    : h('pre', {}, plan || run.summary || t('plan.none'));
  return dialog(t('plan.title', { terminal: run.terminalId }), 'wide', () => h('div', { class: 'scroll', id: 'plan' },
    h('p', { class: 'lead' }, t('plan.lead')), counts ? summary(counts) : null, rows));
}

function read(plan) {
  if (typeof plan !== 'string' || !plan.startsWith('{')) return plan;
  try { return JSON.parse(plan); } catch { return plan; }
}

function summary({ insert: add = 0, update: change = 0, delete: gone = 0, keep = 0 }) {
  return h('p', { class: 'verdict' }, t('plan.summary', { change, add, remove: gone, keep }));
}

function item(row) {
  return h('li', { class: `card ${row.action}` },
    h('div', { class: 'row' }, h('span', { class: `badge ${row.action}` }, t(`plan.action.${row.action}`)),
      h('span', { class: 'grow' }, h('b', {}, row.name || row.id.id),
        h('small', {}, `${t(`plan.kind.${row.id.kind}`)} ${row.id.id}`)),
      h('small', { class: 'why' }, t(`plan.reason.${row.reason}`))),
    row.changes?.length ? h('dl', { class: 'changes' }, row.changes.map((change) => h('div', {},
      h('dt', {}, t(`plan.field.${change.field}`)),
      h('dd', {}, change.local ? [h('del', {}, value(change.local)), ' → '] : null,
        h('ins', {}, value(change.cloud)))))) : null,
    row.unsynced ? h('p', { class: 'wrong' }, t('plan.unsynced', { n: row.unsynced })) : null);
}

function value(shown) {
  if (!shown) return t('plan.nothing');
  if ('text' in shown) return shown.text;
  if ('money' in shown) return money(shown.money.minor, shown.money.currency || 'GBP');
  if ('rate' in shown) return `${percent(shown.rate)} %`;
  if ('flag' in shown) return t(shown.flag ? 'plan.yes' : 'plan.no');
  return shown.list.join(', ') || t('plan.nothing');
}
