// A till's plan for its catalogue, to read.

import { dialog, h } from './dom.js';
import { money, percent } from './money.js';
import { problem } from './parts.js';
import { t } from './strings.js';

/** Shows what a check has found at a till. The plan may come as text. */
export function showPlan(run) {
  let plan = run.plan;
  try { if (typeof plan === 'string') plan = JSON.parse(plan); } catch { plan = null; }
  plan = plan?.plan ?? plan;
  return dialog(t('plan.title', { terminal: run.terminalId }), 'wide', () => h('div', { class: 'scroll', id: 'plan' },
    h('p', { class: 'lead' }, t('plan.lead')), plan?.items ? items(plan) : problem({ status: 1,
      message: run.summary || t('plan.none') })));
}

function items({ counts, items: rows }) {
  const { insert: add = 0, update: change = 0, delete: gone = 0, keep = 0 } = counts ?? {};
  return [h('p', { class: 'verdict' }, t('plan.summary', { change, add, remove: gone, keep })),
    h('ol', { class: 'plan' }, rows.map(item))];
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
