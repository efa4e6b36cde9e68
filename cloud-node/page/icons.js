// Icons beside those of the till page.

import { PATHS } from './dom.js';

Object.assign(PATHS, {
  fleet: 'M4 5h10v8H4zM7 17h4M9 13v4M17 9h3v10h-6',
  stock: 'M4 8l8-4 8 4v9l-8 4-8-4zM4 8l8 4 8-4M12 12v9',
  parked: 'M12 4l9 16H3zM12 10v4M12 17v.5',
  catalog: 'M4 4h8l8 8-8 8-8-8zM8.5 8a.5.5 0 1 1-1 0 .5.5 0 0 1 1 0z',
  orders: 'M4 5h2l2 10h9l2-7H7M9 19.5a.5.5 0 1 1-1 0 .5.5 0 0 1 1 0zm8 0a.5.5 0 1 1-1 0 .5.5 0 0 1 1 0z',
  reports: 'M4 20h16M7 20v-7M12 20V5M17 20v-10',
  log: 'M8 6h12M8 12h12M8 18h12M4 6h.5M4 12h.5M4 18h.5',
  out: 'M14 5h5v14h-5M10 8l-4 4 4 4M6 12h9',
  back: 'M14 6l-6 6 6 6',
  up: 'M12 16V5M8 9l4-4 4 4M5 19h14',
});
