//! A made-up file of sales in the published layout, with its dirt: for machines without the real
//! one.
//!
//! The figures are summed up while the file is written, not by the code that reads it.

use std::fmt::Write as _;

/// A file, and what it must add up to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The file.
    pub bytes: Vec<u8>,
    /// Lines after the header.
    pub lines: u64,
    /// Lines that no reader can understand.
    pub broken: u64,
    /// Distinct invoices.
    pub invoices: u64,
    /// Those of them that are cancellations.
    pub cancellations: u64,
    /// The sum of `Quantity`, in whole units, without broken lines.
    pub quantity: i64,
    /// The sum of `Quantity * UnitPrice`, in pence, without broken lines.
    pub money_minor: i64,
}

const NAMES: &[&[u8]] = &[
    b"WHITE HANGING HEART T-LIGHT HOLDER",
    b"SET OF 3 COLOURED  FLYING DUCKS",
    b"\"AIRLINE LOUNGE,METAL SIGN\"",
    b"\"FLOWER FAIRY,5 SUMMER B'DRAW LINERS\"",
    b"\"12\"\" HANGING EASTER EGG\"",
    b"",
    b"CAF\xc9 SIGN",
    "CAFÉ SIGN".as_bytes(),
    b"POSTAGE",
];
const CODES: &[&str] = &["85123A", "71053", "POST", "D", "M", "BANK CHARGES", "22139"];
const BROKEN: &[&str] = &[
    "540001,22139,\"NEVER CLOSED,1,12/1/2010 8:26,2.55,17850,United Kingdom",
    "540002,22139,NO PRICE,1,12/1/2010 8:26,,17850,United Kingdom",
    "540003,22139,A THIRD OF A PENNY,1,12/1/2010 8:26,0.003,17850,United Kingdom",
    "540004,22139,NEGATIVE,1,12/1/2010 8:26,-11062.06,,United Kingdom",
];

/// Writes a file of `invoices` invoices. The same seed gives the same bytes.
#[must_use]
pub fn online_retail(seed: u64, invoices: u64) -> Sample {
    let mut draw = Draw(seed);
    let mut sample = Sample {
        bytes: Vec::new(),
        lines: 0,
        broken: 0,
        invoices,
        cancellations: 0,
        quantity: 0,
        money_minor: 0,
    };
    let header =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country";
    sample.bytes.extend_from_slice(header.as_bytes());
    sample.bytes.extend_from_slice(b"\r\n");
    for index in 0..invoices {
        let cancelled = draw.one_in(12);
        sample.cancellations += u64::from(cancelled);
        let number = format!("{}{}", if cancelled { "C" } else { "" }, 536_365 + index);
        let customer = if draw.one_in(4) { String::new() } else { (12_346 + index).to_string() };
        let lines = if draw.one_in(5) { 1 } else { 1 + draw.below(30) };
        for _ in 0..lines {
            sample.write_line(&mut draw, &number, cancelled, &customer, index);
        }
        if draw.one_in(40) {
            let broken = BROKEN[draw.index(BROKEN.len())];
            sample.bytes.extend_from_slice(broken.as_bytes());
            sample.bytes.push(b'\n');
            sample.lines += 1;
            sample.broken += 1;
        }
    }
    // The last line of a download that was cut off.
    sample.bytes.extend_from_slice(b"581587,22138,BAKING SET 9 PIECE RETROS");
    sample.lines += 1;
    sample.broken += 1;
    sample
}

impl Sample {
    fn write_line(
        &mut self,
        draw: &mut Draw,
        number: &str,
        cancelled: bool,
        customer: &str,
        index: u64,
    ) {
        let size = i64::try_from(1 + draw.below(48)).unwrap_or(1);
        let negative = cancelled || draw.one_in(60);
        let quantity = if negative { -size } else { size };
        let pence = if draw.one_in(50) { 0 } else { i64::try_from(draw.below(2_000)).unwrap_or(0) };
        let name = NAMES[draw.index(NAMES.len())];
        let code = CODES[draw.index(CODES.len())];
        let mut tail = format!(",{quantity},12/{}/2010 ", 1 + index % 28);
        let _infallible = write!(tail, "{}:{:02},{}", 8 + index % 10, index % 60, price(pence));
        let _infallible = write!(tail, ",{customer},United Kingdom\r\n");
        self.bytes.extend_from_slice(number.as_bytes());
        self.bytes.push(b',');
        self.bytes.extend_from_slice(code.as_bytes());
        self.bytes.push(b',');
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(tail.as_bytes());
        self.lines += 1;
        self.quantity += quantity;
        self.money_minor += quantity * pence;
    }
}

/// As the published file writes prices: without needless zeros.
fn price(pence: i64) -> String {
    let (pounds, rest) = (pence / 100, pence % 100);
    if rest == 0 {
        pounds.to_string()
    } else if rest % 10 == 0 {
        format!("{pounds}.{}", rest / 10)
    } else {
        format!("{pounds}.{rest:02}")
    }
}

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014).
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}
