// Amounts in minor units: no float holds money.

const digits = (currency) =>
  new Intl.NumberFormat('en', { style: 'currency', currency }).resolvedOptions().maximumFractionDigits;

// Returns the minor units of a typed amount, or null.
export function minor(text, currency) {
  const places = digits(currency);
  const found = /^(\d{1,12})(?:[.,](\d*))?$/.exec(text.trim());
  if (!found || (found[2] ?? '').length > places) return null;
  return Number(found[1] + (found[2] ?? '').padEnd(places, '0'));
}

export function amount(units, currency) {
  const places = digits(currency);
  const text = String(Math.abs(units)).padStart(places + 1, '0');
  const whole = text.slice(0, text.length - places);
  const part = places ? `.${text.slice(-places)}` : '';
  return `${units < 0 ? '-' : ''}${whole}${part} ${currency}`;
}
