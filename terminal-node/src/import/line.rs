//! One line of the file: its fields, and the exact numbers in them.

use std::borrow::Cow;

use counterfoil_protocol::event::TEXT_BYTES_MAX;
use counterfoil_protocol::identity::ProductId;
use counterfoil_protocol::label::Label;
use counterfoil_protocol::money::{MILLI_MAX, MINOR_MAX, Milli, Minor};
use counterfoil_protocol::time::Millis;

const FIELDS: usize = 8;
/// An id of an event has 36 bytes; `inv-` and a part number go around the invoice's.
const INVOICE_BYTES_MAX: usize = 24;
const SCALE_MINOR: u32 = 2;
const SCALE_MILLI: u32 = 3;

/// A line that was understood.
pub(super) struct RawLine {
    pub(super) invoice: String,
    pub(super) product: ProductId,
    pub(super) name: String,
    /// Not zero.
    pub(super) quantity: Milli,
    pub(super) at: Millis,
    pub(super) unit_price: Minor,
    /// Quantity times price, exactly.
    pub(super) amount: Minor,
    pub(super) customer: bool,
}

/// Decodes a line: UTF-8, or else Latin-1, in which parts of the published file are.
pub(super) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(bytes.iter().map(|byte| char::from(*byte)).collect()),
    }
}

/// Returns whether the first line names the columns.
pub(super) fn is_header(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start_matches("\u{ef}\u{bb}\u{bf}");
    text.replace('"', "").to_ascii_lowercase().starts_with("invoiceno,stockcode,")
}

/// Reads a line. Also returns what had to be changed in it, if anything.
pub(super) fn read_line(text: &str) -> Result<(RawLine, Option<&'static str>), String> {
    let fields = split(text)?;
    let [invoice, stock_code, description, quantity, date, price, customer, _country] =
        <[String; FIELDS]>::try_from(fields)
            .map_err(|fields| format!("{} fields where there are {FIELDS}", fields.len()))?;
    let invoice = invoice.trim();
    let label = Label::parse(invoice).map_err(|error| format!("InvoiceNo: {error}"))?;
    if label.as_bytes().len() > INVOICE_BYTES_MAX {
        return Err(format!("InvoiceNo has more than {INVOICE_BYTES_MAX} characters"));
    }
    let product =
        ProductId::parse(stock_code.trim()).map_err(|error| format!("StockCode: {error}"))?;
    let quantity = decimal(&quantity, SCALE_MILLI).map_err(|why| format!("Quantity {why}"))?;
    if quantity == 0 || quantity.abs() > MILLI_MAX {
        return Err("Quantity is zero or out of bounds".to_owned());
    }
    let at = date_time(&date).ok_or("InvoiceDate is no date of the form M/D/YYYY H:MM")?;
    let price = decimal(&price, SCALE_MINOR).map_err(|why| format!("UnitPrice {why}"))?;
    if !(0..=MINOR_MAX).contains(&price) {
        return Err("UnitPrice is below zero or out of bounds".to_owned());
    }
    let exact = i128::from(quantity) * i128::from(price);
    if exact % 1000 != 0 {
        return Err("Quantity * UnitPrice is no whole number of minor units".to_owned());
    }
    let (quantity, unit_price) = (Milli(quantity), Minor(price));
    let amount = quantity.price(unit_price).ok_or("Quantity * UnitPrice is out of bounds")?;
    let (name, change) = name_of(&description);
    let raw = RawLine {
        invoice: invoice.to_owned(),
        product,
        name,
        quantity,
        at,
        unit_price,
        amount,
        customer: !customer.trim().is_empty(),
    };
    Ok((raw, change))
}

/// Splits at commas outside of quotes; a doubled quote inside of quotes is one quote.
fn split(text: &str) -> Result<Vec<String>, String> {
    let mut fields = Vec::with_capacity(FIELDS);
    let mut chars = text.chars().peekable();
    loop {
        let mut field = String::new();
        if chars.next_if_eq(&'"').is_some() {
            loop {
                match chars.next() {
                    Some('"') if chars.next_if_eq(&'"').is_some() => field.push('"'),
                    Some('"') => break,
                    Some(char) => field.push(char),
                    None => return Err("a quote is not closed".to_owned()),
                }
            }
            if chars.peek().is_some_and(|next| *next != ',') {
                return Err("there is text after a closing quote".to_owned());
            }
        } else {
            while let Some(char) = chars.next_if(|next| *next != ',') {
                field.push(char);
            }
        }
        fields.push(field);
        if chars.next().is_none() {
            return Ok(fields);
        }
    }
}

/// Reads an exact decimal as an integer of `scale` decimals. Never through a float.
pub(crate) fn decimal(text: &str, scale: u32) -> Result<i64, &'static str> {
    let text = text.trim();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) {
        return Err("is no decimal number");
    }
    let scale = scale as usize;
    let (kept, rest) = fraction.split_at(fraction.len().min(scale));
    if rest.bytes().any(|byte| byte != b'0') {
        return Err("has more decimals than can be kept exactly");
    }
    let scaled = format!("{whole}{kept:0<scale$}");
    scaled.parse::<i64>().map(|number| sign * number).map_err(|_| "is out of bounds")
}

/// Reads `M/D/YYYY H:MM` as UTC.
fn date_time(text: &str) -> Option<Millis> {
    let (date, time) = text.trim().split_once(' ')?;
    let mut date = date.split('/').map(whole);
    let (month, day, year) = (date.next()??, date.next()??, date.next()??);
    let mut time = time.split(':').map(whole);
    let (hour, minute) = (time.next()??, time.next()??);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        _ => return None,
    };
    let valid = date.next().is_none()
        && time.next().is_none()
        && (1970..=9999).contains(&year)
        && (1..=last).contains(&day)
        && hour < 24
        && minute < 60;
    let seconds = (days_since_1970(year, month, day) * 24 + hour) * 3600 + minute * 60;
    valid.then_some(Millis::from_secs(seconds))
}

fn whole(text: &str) -> Option<u64> {
    let short = (1..=4).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    if short { text.parse().ok() } else { None }
}

/// Days of the proleptic Gregorian calendar (H. Hinnant, "chrono-compatible date algorithms").
fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year.saturating_sub(1) } else { year };
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day.saturating_sub(1);
    let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    (era * 146_097 + day_of_era).saturating_sub(719_468)
}

/// Returns the description as an event can hold it, and what was done to it.
fn name_of(description: &str) -> (String, Option<&'static str>) {
    if description.len() <= TEXT_BYTES_MAX && !description.chars().any(char::is_control) {
        return (description.to_owned(), None);
    }
    let plain: String =
        description.chars().map(|char| if char.is_control() { ' ' } else { char }).collect();
    if plain.len() <= TEXT_BYTES_MAX {
        return (plain, Some("control characters in Description became spaces"));
    }
    let end = plain.floor_char_boundary(TEXT_BYTES_MAX);
    (plain[..end].to_owned(), Some("Description was cut at 128 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_or_refused() {
        for (text, expected) in [
            ("2.55", Ok(255)),
            ("27.5", Ok(2750)),
            ("0", Ok(0)),
            ("-3", Ok(-300)),
            ("1.500000", Ok(150)),
            ("0.001", Err("has more decimals than can be kept exactly")),
            ("1e3", Err("is no decimal number")),
            ("1,5", Err("is no decimal number")),
            (".5", Err("is no decimal number")),
            ("5.", Err("is no decimal number")),
            ("+5", Err("is no decimal number")),
            ("--5", Err("is no decimal number")),
            ("", Err("is no decimal number")),
            ("99999999999999999999", Err("is out of bounds")),
        ] {
            assert_eq!(decimal(text, SCALE_MINOR), expected, "{text}");
        }
    }

    #[test]
    fn dates_are_utc_and_of_this_calendar() {
        for (text, expected) in [
            ("1/1/1970 0:00", Some(0)),
            ("12/1/2010 8:26", Some(1_291_191_960)),
            ("2/29/2012 23:59", Some(1_330_559_940)),
            ("2/29/2011 0:00", None),
            ("13/1/2010 8:26", None),
            ("0/1/2010 8:26", None),
            ("12/0/2010 8:26", None),
            ("12/1/2010 24:00", None),
            ("12/1/2010", None),
            ("12/1/2010 8:26:00", None),
            ("12/1/10 8:26", None),
        ] {
            let expected = expected.map(Millis::from_secs);
            assert_eq!(date_time(text), expected, "{text}");
        }
    }
}
