//! Decimal numbers of JSON as integers, by their text: no amount ever passes through a float.
//!
//! `15.99` has no float; a parser that makes one has lost the cent before anybody could look. So
//! the literal itself is read. A number with more decimals than can be held is refused, unless they
//! are zeros: nothing is rounded that somebody has stated.

use std::fmt;

/// The most characters of a number.
const TEXT_MAX: usize = 64;
/// The most digits that are held, and the largest exponent either way.
const DIGITS_MAX: i32 = 30;

/// A number that cannot be held exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// No number of JSON: a text in quotes is none.
    #[error("it is no number")]
    Form,
    /// More decimals than there are.
    #[error("it has too many decimals")]
    Precision,
    /// Too large, either way.
    #[error("it is too large")]
    Range,
}

/// Returns the number times ten to the power of `scale`, exactly.
///
/// # Errors
/// [`DecimalError`] says what is wrong with it.
pub fn parse(text: &str, scale: u32) -> Result<i64, DecimalError> {
    if text.len() > TEXT_MAX {
        return Err(DecimalError::Range);
    }
    let (negative, rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent_of(exponent)?),
        None => (rest, 0),
    };
    let (whole, decimals) = mantissa.split_once('.').unwrap_or((mantissa, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || (whole.len() > 1 && whole.starts_with('0')) {
        return Err(DecimalError::Form);
    }
    let decimals = decimals.trim_end_matches('0');
    let mut value: i128 = 0;
    for digit in whole.bytes().chain(decimals.bytes()) {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_add(i128::from(digit - b'0')))
            .ok_or(DecimalError::Range)?;
    }
    let places = i32::try_from(decimals.len()).map_err(|_| DecimalError::Range)?;
    let scale = i32::try_from(scale).map_err(|_| DecimalError::Range)?;
    let shifted = shift(value, scale + exponent - places)?;
    let signed = if negative { -shifted } else { shifted };
    i64::try_from(signed).map_err(|_| DecimalError::Range)
}

fn exponent_of(text: &str) -> Result<i32, DecimalError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(DecimalError::Form);
    }
    let exponent: i32 = digits.parse().map_err(|_| DecimalError::Range)?;
    if exponent > DIGITS_MAX {
        return Err(DecimalError::Range);
    }
    Ok(if text.starts_with('-') { -exponent } else { exponent })
}

fn shift(value: i128, by: i32) -> Result<i128, DecimalError> {
    if value == 0 {
        return Ok(0);
    }
    let power = 10_i128.checked_pow(by.unsigned_abs());
    if by >= 0 {
        power.and_then(|power| value.checked_mul(power)).ok_or(DecimalError::Range)
    } else {
        let power = power.ok_or(DecimalError::Precision)?;
        if value % power == 0 { Ok(value / power) } else { Err(DecimalError::Precision) }
    }
}

/// A number with so many decimals, as JSON writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    /// The number times ten to the power of `scale`.
    pub value: i64,
    /// How many decimals are written.
    pub scale: u32,
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.value < 0 { "-" } else { "" };
        let power = 10_u64.checked_pow(self.scale).unwrap_or(u64::MAX);
        let (value, width) = (self.value.unsigned_abs(), self.scale as usize);
        if width == 0 {
            return write!(f, "{sign}{value}");
        }
        write!(f, "{sign}{}.{:0width$}", value / power, value % power)
    }
}

/// Returns how many decimals the minor unit of a currency stands for (ISO 4217).
#[must_use]
pub fn decimals_of(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_decimal_is_read_exactly_or_refused() {
        use DecimalError::{Form, Precision, Range};
        for (text, scale, expected) in [
            ("15.99", 2, Ok(1_599)),
            ("15.990", 2, Ok(1_599)),
            ("15.991", 2, Err(Precision)),
            ("0.1", 2, Ok(10)),
            ("-0.10", 2, Ok(-10)),
            ("2", 3, Ok(2_000)),
            ("1.599e1", 2, Ok(1_599)),
            ("1599E-2", 2, Ok(1_599)),
            ("1e-3", 2, Err(Precision)),
            ("0e-30", 2, Ok(0)),
            ("90071992547409.93", 2, Ok(9_007_199_254_740_993)),
            ("9223372036854775807", 0, Ok(i64::MAX)),
            ("9223372036854775808", 0, Err(Range)),
            ("1e999999999999", 2, Err(Range)),
            ("1e31", 2, Err(Range)),
            ("1e30", 2, Err(Range)),
            ("\"15.99\"", 2, Err(Form)),
            ("", 2, Err(Form)),
            ("-", 2, Err(Form)),
            ("01", 2, Err(Form)),
            ("1.", 2, Err(Form)),
            (".5", 2, Err(Form)),
            ("+1", 2, Err(Form)),
            ("NaN", 2, Err(Form)),
            ("null", 2, Err(Form)),
            ("1e", 2, Err(Form)),
        ] {
            assert_eq!(parse(text, scale), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value: i64, scale in 0_u32..6) {
            let text = Decimal { value, scale }.to_string();
            prop_assert_eq!(parse(&text, scale), Ok(value));
        }

        #[test]
        fn no_text_panics(text in ".{0,70}", scale in 0_u32..6) {
            let _ = parse(&text, scale);
        }
    }
}
