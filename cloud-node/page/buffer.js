// The safety buffer: what the online store does not get to see of a stock.

import { get, put } from './api.js';
import { button, draw, fill, h, toast } from './dom.js';
import { parseQuantity, parseScaled, percent, quantity } from './money.js';
import * as names from './names.js';
import { bad, field, problem, productField, values } from './parts.js';
import * as place from './place.js';
import { t } from './strings.js';

let share;
let shown;
let wrong;

const where = () => ({ shop: place.shop(), branch: place.branch() });
const body = () => ({ shopId: place.shop(), branchId: place.branch() });

/** Makes its part of the view. */
export function build() {
  shown = h('p', { id: 'store-shows', role: 'status' });
  wrong = h('div', { class: 'trouble' });
  share = h('div');
  const submit = (act) => async (event) => {
    event.preventDefault();
    fill(wrong);
    try { await act(values(event.target)); } catch (error) { fill(wrong, problem(error)); }
  };
  const one = h('form', { class: 'line', id: 'buffer-product', novalidate: true, onsubmit: submit(setFixed) },
    productField(place.shop(), { name: 'product', label: t('buffer.product') }),
    field({ name: 'fixed', label: t('buffer.fixed'), inputmode: 'decimal', maxlength: 20 }),
    button(t('buffer.ask'), () => submit(look)({ preventDefault() {}, target: one }), { id: 'buffer-look' }),
    h('button', { type: 'submit' }, t('buffer.set')));
  return h('section', { class: 'card', 'aria-labelledby': 'h-buffer' }, h('h2', { id: 'h-buffer' }, t('buffer.title')),
    h('p', { class: 'lead' }, t('buffer.lead', { branch: place.branch() }), ' ', t('buffer.empty')),
    h('form', { class: 'line', id: 'buffer-share', novalidate: true, onsubmit: submit(setShare) }, share,
      h('button', { type: 'submit' }, t('buffer.set'))),
    one, wrong, shown);
}

/** Fetches what is held back of every product. */
export async function refresh() {
  try {
    const { buffer } = await get('/v1/admin/buffer', where());
    draw(share, [buffer, place.branch()], () => field({ name: 'share', label: t('buffer.share'), inputmode: 'decimal',
      value: buffer?.share ? percent(buffer.share.ppm) : '', maxlength: 20 }));
  } catch (error) {
    fill(wrong, problem(error));
  }
}

async function setShare({ share: text }) {
  const ppm = text === '' ? 0 : parseScaled(text, 4, 1_000_000);
  if (ppm === null) throw bad(t('buffer.badShare'));
  await put('/v1/admin/buffer', { ...body(), buffer: ppm ? { share: { ppm } } : null });
  toast(t('buffer.done'));
}

async function setFixed({ product, fixed }) {
  const milli = fixed === '' ? 0 : parseQuantity(fixed);
  if (milli === null) throw bad(t('adjust.bad'));
  await put('/v1/admin/buffer', { ...body(), productId: product, buffer: milli ? { fixed: { milli } } : null });
  toast(t('buffer.done'));
  await look({ product });
}

async function look({ product }) {
  const [front] = await Promise.all([get('/v1/storefront/stock', { ...where(), product }),
    names.learn(place.shop(), [product])]);
  shown.textContent = t('buffer.shows', { name: names.name(place.shop(), product), stock: quantity(front.stockMilli),
    available: quantity(front.availableMilli) });
}
