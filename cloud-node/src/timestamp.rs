//! Points in time as RFC 3339 writes them, for contracts that speak of dates.

use std::fmt;

use counterfoil_protocol::time::Millis;

const DAY_MS: i64 = 86_400_000;

/// A text that is no point in time between 1970 and 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time is written as 2024-01-15T10:30:00Z")]
pub struct TimestampError;

/// A point in time as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timestamp {
    /// Its whole milliseconds.
    pub at: Millis,
    /// Whether that is all of it: nothing below a millisecond was cut off.
    pub exact: bool,
}

/// Reads a point in time.
///
/// # Errors
/// [`TimestampError`].
pub fn parse(text: &str) -> Result<Timestamp, TimestampError> {
    read(text.as_bytes()).ok_or(TimestampError)
}

fn read(text: &[u8]) -> Option<Timestamp> {
    let (year, month, day) = (number(text, 0, 4)?, number(text, 5, 2)?, number(text, 8, 2)?);
    let (hour, minute, second) = (number(text, 11, 2)?, number(text, 14, 2)?, number(text, 17, 2)?);
    let marks = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    let parted = marks.iter().all(|(at, mark)| text.get(*at) == Some(mark));
    if !parted || !matches!(text.get(10), Some(b'T' | b't' | b' ')) {
        return None;
    }
    let within = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !within {
        return None;
    }
    let (fraction, zone) = fraction(&text[19..])?;
    let offset = offset(zone)?;
    let days = days_since_1970(year, month, day);
    // A leap second is the last one of its minute.
    let seconds = hour * 3_600 + minute * 60 + second.min(59);
    let at = days * DAY_MS + seconds * 1_000 + fraction.0 - offset * 60_000;
    let at = u64::try_from(at).ok().filter(|at| *at <= LAST)?;
    Some(Timestamp { at: Millis(at), exact: fraction.1 })
}

fn number(text: &[u8], at: usize, digits: usize) -> Option<i64> {
    let part = text.get(at..at + digits)?;
    part.iter()
        .try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Returns the milliseconds of a fraction, whether they are all of it, and what comes after.
fn fraction(text: &[u8]) -> Option<((i64, bool), &[u8])> {
    let Some(rest) = text.strip_prefix(b".") else { return Some(((0, true), text)) };
    let end = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
    let (digits, zone) = rest.split_at(end);
    if digits.is_empty() || digits.len() > 9 {
        return None;
    }
    let digit = |at: usize| digits.get(at).map_or(0, |byte| i64::from(byte - b'0'));
    let millis = digit(0) * 100 + digit(1) * 10 + digit(2);
    let exact = digits.iter().skip(3).all(|byte| *byte == b'0');
    Some(((millis, exact), zone))
}

/// Returns the minutes that a zone is ahead.
fn offset(zone: &[u8]) -> Option<i64> {
    if matches!(zone, b"Z" | b"z") {
        return Some(0);
    }
    let sign = match zone.first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = (number(zone, 1, 2)?, number(zone, 4, 2)?);
    let formed = zone.len() == 6 && zone[3] == b':' && hours < 24 && minutes < 60;
    formed.then_some(sign * (hours * 60 + minutes))
}

const fn days_in(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Counts days by the proleptic Gregorian calendar (Howard Hinnant, `days_from_civil`).
const fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    era * 146_097 + day_of_era - 719_468
}

/// Returns year, month and day of a count of days since 1970.
const fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + (if month <= 2 { 1 } else { 0 }), month, day)
}

/// A point in time, written with milliseconds, in UTC; years beyond 9999 are written as 9999.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written(pub Millis);

/// The last point in time that is written.
const LAST: u64 = 253_402_300_799_999;

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = i64::try_from(self.0.0.min(LAST)).unwrap_or_default();
        let (year, month, day) = civil(at.div_euclid(DAY_MS));
        let ms = at.rem_euclid(DAY_MS);
        let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
        let (second, ms) = (ms / 1_000 % 60, ms % 1_000);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

/// Returns the date of a point in time, in UTC.
#[must_use]
pub fn date(at: Millis) -> String {
    Written(at).to_string()[..10].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_time_is_read_or_refused() {
        let exact = |at| Ok(Timestamp { at: Millis(at), exact: true });
        for (text, expected) in [
            ("1970-01-01T00:00:00Z", exact(0)),
            ("2024-01-15T10:30:00Z", exact(1_705_314_600_000)),
            ("2024-01-15t10:30:00.250z", exact(1_705_314_600_250)),
            ("2024-01-15T11:30:00+01:00", exact(1_705_314_600_000)),
            (
                "2024-01-15T10:30:00.2500001Z",
                Ok(Timestamp { at: Millis(1_705_314_600_250), exact: false }),
            ),
            ("2024-02-29T00:00:00Z", exact(1_709_164_800_000)),
            ("2023-02-29T00:00:00Z", Err(TimestampError)),
            ("2024-13-01T00:00:00Z", Err(TimestampError)),
            ("2024-01-15T24:00:00Z", Err(TimestampError)),
            ("2024-01-15T10:30:00", Err(TimestampError)),
            ("2024-01-15", Err(TimestampError)),
            ("1969-12-31T23:59:59Z", Err(TimestampError)),
            ("1970-01-01T00:59:59+01:00", Err(TimestampError)),
            ("9999-12-31T23:59:59.999Z", exact(253_402_300_799_999)),
            // In the year 10000 where times are kept: nobody could write it again.
            ("9999-12-31T23:59:59-00:01", Err(TimestampError)),
            ("2024-01-15T10:30:00.Z", Err(TimestampError)),
            ("2024-01-15T10:30:00+1:00", Err(TimestampError)),
            ("yesterday", Err(TimestampError)),
            ("", Err(TimestampError)),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(at in 0_u64..=LAST) {
            let read = parse(&Written(Millis(at)).to_string());
            prop_assert_eq!(read, Ok(Timestamp { at: Millis(at), exact: true }));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,40}") {
            let _ = parse(&text);
        }
    }
}
