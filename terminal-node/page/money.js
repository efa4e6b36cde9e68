// Amounts are integers in minor units, quantities integers in thousandths. Text is parsed digit by digit;
// products of two of them are made with BigInt. There is no other arithmetic on money in this page.

import { language } from './strings.js';

export const MINOR_MAX = 1_000_000_000_000;
export const MILLI_MAX = 1_000_000_000_000;

const digitsOf = new Map();

/** How many decimals a currency has. */
export function decimals(currency) {
  if (!digitsOf.has(currency)) {
    let digits = 2;
    try {
      const format = new Intl.NumberFormat(language, { style: 'currency', currency });
      digits = format.resolvedOptions().maximumFractionDigits;
    } catch { /* a currency that this browser does not know has two */ }
    digitsOf.set(currency, digits);
  }
  return digitsOf.get(currency);
}

/** Parses a decimal text into an integer of 10^-digits, or null. Nothing is rounded. */
export function parseScaled(text, digits, most) {
  const match = /^\s*(\d{1,13})?(?:[.,](\d*))?\s*$/.exec(text);
  if (!match || (match[1] === undefined && !match[2])) return null;
  const fraction = match[2] ?? '';
  if (fraction.length > digits && /[1-9]/.test(fraction.slice(digits))) return null;
  const scaled = BigInt((match[1] ?? '0') + fraction.slice(0, digits).padEnd(digits, '0'));
  return scaled <= BigInt(most) ? Number(scaled) : null;
}

export const parseMoney = (text, currency) => parseScaled(text, decimals(currency), MINOR_MAX);
export const parseQuantity = (text) => parseScaled(text, 3, MILLI_MAX);

/** Writes an integer of 10^-digits as a decimal text. */
export function scaled(number, digits) {
  const text = String(Math.abs(number)).padStart(digits + 1, '0');
  const sign = number < 0 ? '-' : '';
  if (digits === 0) return sign + text;
  return `${sign}${text.slice(0, -digits)}.${text.slice(-digits)}`;
}

/** Writes an amount with its currency, as people read it. */
export function money(minor, currency) {
  const text = scaled(minor, decimals(currency));
  try {
    return new Intl.NumberFormat(language, { style: 'currency', currency }).format(text);
  } catch {
    return `${currency} ${text}`;
  }
}

/** Writes an amount as it is typed. */
export const plainMoney = (minor, currency) => scaled(minor, decimals(currency));

/** Writes a quantity without zeros that say nothing. */
export function quantity(milli) {
  return scaled(milli, 3).replace(/\.?0+$/, '');
}

/** Writes a tax rate in percent. */
export const percent = (ppm) => scaled(ppm, 4).replace(/\.?0+$/, '');

/** Quantity times price, half a minor unit rounded up; null beyond the bound. */
export function price(milli, unitMinor) {
  const rounded = (BigInt(milli) * BigInt(unitMinor) + 500n) / 1000n;
  return rounded <= BigInt(MINOR_MAX) ? Number(rounded) : null;
}

/** What a line costs, less its discount. */
export const lineAmount = (line) => (price(line.quantityMilli, line.unitPriceMinor) ?? 0) - line.discountMinor;

/** The part of a discount that goes with a part of a line: rounded up, so that nobody gets back more than
 * was paid. */
export function discountShare(line, milli) {
  const whole = BigInt(line.quantityMilli);
  const share = (BigInt(line.discountMinor) * BigInt(milli) + whole - 1n) / whole;
  return Math.min(Number(share), price(milli, line.unitPriceMinor) ?? 0);
}

export const sum = (amounts) => amounts.reduce((all, amount) => all + amount, 0);

/** Amounts that somebody may hand over for what is due: the next round ones. */
export function likelyCash(due, currency) {
  const unit = 10 ** decimals(currency);
  const found = new Set();
  for (const note of [1, 5, 10, 20, 50, 100]) {
    const step = note * unit;
    const rounded = due + ((step - (due % step)) % step);
    if (rounded > due) found.add(rounded);
  }
  return [...found].sort((a, b) => a - b).slice(0, 4);
}
