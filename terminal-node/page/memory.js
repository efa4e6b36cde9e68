// What this screen remembers: by terminal, so that two tills on one machine share nothing.

const ROOT = 'counterfoil';

let terminal = read(`${ROOT}:terminal`) ?? '';

function read(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

/** Says whose screen this is. */
export function belongsTo(identity) {
  terminal = `${identity.shop}/${identity.branch}/${identity.terminal}`;
  localStorage.setItem(`${ROOT}:terminal`, JSON.stringify(terminal));
}

export const isKnown = () => terminal !== '';

/** Returns what was kept under a name, or null. */
export const recall = (name) => read(`${ROOT}:${terminal}:${name}`);

/** Keeps something. It throws if this browser cannot: then nothing may be built on it. */
export function keep(name, value) {
  const key = `${ROOT}:${terminal}:${name}`;
  if (value === null) localStorage.removeItem(key);
  else localStorage.setItem(key, JSON.stringify(value));
}

/** The token and the register come in the part of the address that no browser sends. */
export function pair() {
  const given = new URLSearchParams(location.hash.replace(/^#/, ''));
  if (given.get('token')) localStorage.setItem(`${ROOT}:token`, given.get('token'));
  if (given.get('pos')) localStorage.setItem(`${ROOT}:pos`, given.get('pos'));
  if (given.get('token') || given.get('pos')) history.replaceState(null, '', location.pathname);
}

export const token = () => localStorage.getItem(`${ROOT}:token`) ?? '';
export const setToken = (value) => localStorage.setItem(`${ROOT}:token`, value);
export const pos = () => localStorage.getItem(`${ROOT}:pos`) ?? '1';
