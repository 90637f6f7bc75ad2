// Numbers as words, as text.py writes them.

/**
 * Four significant digits, without needless zeros: Python's "%.4g".
 * @param {number | null} value
 * @param {number} [digits]
 * @returns {string}
 */
export function number(value, digits = 4) {
  if (value === null) return "not finite"; // JSON has neither NaN nor infinities
  if (Number.isNaN(value)) return "NaN";
  if (!Number.isFinite(value)) return value > 0 ? "infinite" : "-infinite";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 10 ** digits || size < 1e-4) {
    const [front, back] = value.toExponential(digits - 1).split("e");
    return `${trimmed(front)}e${back}`;
  }
  return trimmed(value.toPrecision(digits));
}

/** @param {string} digits @returns {string} */
function trimmed(digits) {
  return digits.includes(".") ? digits.replace(/\.?0+$/, "") : digits;
}

/**
 * A value with how far it may be from the true one, no digit more than is known.
 * @param {number} value
 * @param {number} precision
 * @returns {string}
 */
export function measured(value, precision) {
  if (Number.isNaN(value)) return "NaN or infinite";
  if (!(precision > 0)) return number(value, 6);
  const digits = Math.max(0, Math.min(12, 1 - Math.floor(Math.log10(precision))));
  const short = precision < 1e-9 || Math.abs(value) >= 1e7;
  return `${short ? number(value, 5) : value.toFixed(digits)} \u00b1 ${number(precision, 2)}`;
}
