// The basket, and what is under way. Both are written down before anything else happens, so that a reload, a
// crash of the browser and a killed daemon lose nothing and record nothing twice.

import { Refused, Silent, post } from './api.js';
import { keep, pos, recall } from './memory.js';
import { MILLI_MAX, lineAmount, price, sum } from './money.js';

const LINES_MAX = 2000;
const listeners = new Set();
let lines = [];

/** Reads the basket that was kept. */
export function load() {
  lines = recall('basket') ?? [];
  tell();
}

export const all = () => lines;
export const isEmpty = () => lines.length === 0;
export const currency = () => lines[0]?.currency ?? null;
export const total = () => sum(lines.map(lineAmount));

/** Calls `changed` now and whenever the basket changes. */
export function watch(changed) {
  listeners.add(changed);
  changed();
  return () => listeners.delete(changed);
}

function tell() {
  listeners.forEach((changed) => changed());
}

function set(next) {
  keep('basket', next.length ? next : null);
  lines = next;
  tell();
}

/** Returns why a line cannot be, or null. */
function wrong(next) {
  if (next.length > LINES_MAX) return 'tooMuch';
  const bad = next.some((line) => line.quantityMilli > MILLI_MAX
    || price(line.quantityMilli, line.unitPriceMinor) === null);
  return bad ? 'tooMuch' : null;
}

/** Puts one more of a product into the basket. Returns why not, or null. */
export function add(product, quantityMilli = 1000) {
  if (currency() && currency() !== product.currency) return 'otherCurrency';
  const same = (line) => line.productId === product.productId
    && line.unitPriceMinor === product.priceMinor && line.discountMinor === 0;
  const at = lines.findIndex(same);
  const next = at >= 0
    ? lines.map((line, i) => (i === at ? { ...line, quantityMilli: line.quantityMilli + quantityMilli } : line))
    : [...lines, {
      id: crypto.randomUUID(),
      productId: product.productId,
      name: product.name,
      quantityMilli,
      unitPriceMinor: product.priceMinor,
      discountMinor: 0,
      taxPpm: product.taxPpm,
      unit: product.unit,
      currency: product.currency,
    }];
  const why = wrong(next);
  if (!why) set(next);
  return why;
}

/** Changes a line. Returns why not, or null. */
export function change(id, values) {
  const next = lines.map((line) => (line.id === id ? { ...line, ...values } : line));
  const why = wrong(next);
  if (!why) set(next);
  return why;
}

export const remove = (id) => set(lines.filter((line) => line.id !== id));
export const clear = () => set([]);
export const restore = (before) => set(before);

/** The lines as the till takes them. */
export const asSent = (some) => some.map((line) => ({
  productId: line.productId,
  name: fitting(line.name),
  quantityMilli: line.quantityMilli,
  unitPriceMinor: line.unitPriceMinor,
  discountMinor: line.discountMinor,
  taxPpm: line.taxPpm,
}));

/** A name has at most 128 bytes on an event. */
function fitting(name) {
  let text = name;
  while (new TextEncoder().encode(text).length > 128) text = [...text].slice(0, -1).join('');
  return text;
}

/** What was begun and has no answer yet: `{ path, body, empties }`. */
export const underWay = () => recall('under-way');

/** Writes down what is to be recorded, under a name of its own. From here on it is recorded once. */
export function begin(path, body, extra = {}) {
  const named = { posId: pos(), localEventId: crypto.randomUUID(), ...body };
  const begun = { path, body: named, ...extra };
  keep('under-way', begun);
  return begun;
}

/** Has what is under way recorded, however often that takes. It answers with what the till said, or throws
 * [`Refused`]: then it is under way no more, and was not recorded. `waits` hears why it takes long. */
export async function finish(waits) {
  const begun = underWay();
  for (;;) {
    try {
      const told = await post(begun.path, begun.body);
      if (begun.empties) set([]);
      keep('under-way', null);
      return { told, begun };
    } catch (error) {
      const decided = error instanceof Refused && error.status < 500 && ![401, 403, 408].includes(error.status);
      if (decided) {
        keep('under-way', null);
        throw error;
      }
      waits(error instanceof Silent ? null : error.message);
    }
    await new Promise((wake) => { setTimeout(wake, 700); });
  }
}
