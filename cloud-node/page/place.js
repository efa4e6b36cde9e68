// Which shop and which branch are looked at. Remembered by this browser; nothing secret is.

import { pages } from './api.js';

const KEPT = 'counterfoil-place';

let sites = [];
let chosen = { shop: '', branch: '' };

try { chosen = { ...chosen, ...JSON.parse(localStorage.getItem(KEPT) ?? '{}') }; } catch { /* a fresh start */ }

/** Asks which shops and branches there are. */
export async function load() {
  const { rows } = await pages('/v1/admin/sites', {}, 'sites', 20);
  sites = rows;
  if (!shops().includes(chosen.shop)) chosen = { shop: shops()[0] ?? '', branch: '' };
  if (!branches().includes(chosen.branch)) chosen.branch = '';
}

export const shops = () => [...new Set(sites.map((site) => site.shopId))].sort();
export const branches = (of = chosen.shop) =>
  [...new Set(sites.filter((site) => site.shopId === of).map((site) => site.branchId))].sort();
export const shop = () => chosen.shop;
export const branch = () => chosen.branch;

/** Goes to another shop or branch. */
export function choose(shop, branch = '') {
  chosen = { shop, branch };
  try { localStorage.setItem(KEPT, JSON.stringify(chosen)); } catch { /* it is asked again next time */ }
}
