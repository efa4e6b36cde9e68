// What products are called, for lists that only have their numbers.

import { get } from './api.js';

/** The node answers so many at once. */
const AT_ONCE = 200;
/** A name is asked for again after this time. */
const FRESH = 20_000;

const known = new Map();

/** Fetches what is not known of these products. */
export async function learn(shop, ids) {
  const now = Date.now();
  const missing = [...new Set(ids)].filter((id) => !(known.get(key(shop, id))?.until > now));
  for (let at = 0; at < missing.length; at += AT_ONCE) {
    const part = missing.slice(at, at + AT_ONCE);
    const { entities } = await get('/v1/admin/catalog', { shopId: shop, ids: part.join('\n') });
    const found = new Map(entities.map((row) => [row.id, row.entity.product]));
    for (const id of part) known.set(key(shop, id), { product: found.get(id) ?? null, until: now + FRESH });
  }
}

const key = (shop, id) => `${shop}\n${id}`;

/** Returns a product, or null if the catalogue has none. */
export const product = (shop, id) => known.get(key(shop, id))?.product ?? null;

/** Returns what a product is called: its number if it has no name. */
export const name = (shop, id) => product(shop, id)?.name ?? id;
