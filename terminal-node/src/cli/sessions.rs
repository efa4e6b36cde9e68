//! `session open|cash|close|show`: a register's day at the command line.

use clap::{Args as ClapArgs, Subcommand};
use comfy_table::{Cell, Color};
use counterfoil_protocol::event::session::Difference;
use counterfoil_protocol::identity::{LocalEventId, PosId};
use counterfoil_protocol::money::Currency;
use serde_json::json;

use super::Failure;
use super::access::Access;
use super::args::At;
use super::commands::random_id;
use super::show::{Show, ago, scaled, table};
use crate::api::body::TenderWord;
use crate::drawer::{
    CashBody, CloseBody, CloudStatus, CloudWord, CountedBody, Drawer, OpenBody, SessionBody, Sheet,
};
use crate::import::line::decimal;

#[derive(Debug, Subcommand)]
pub(super) enum Session {
    /// Opens a register's session with the cash that is in its drawer.
    Open(Open),
    /// Puts cash into the drawer, or takes it out, for no goods.
    Cash(Cash),
    /// Closes the session with what was counted.
    Close(Close),
    /// Shows what is expected and counted, and what the cloud says of it.
    Show(Of),
}

#[derive(Debug, ClapArgs)]
pub(super) struct Open {
    #[command(flatten)]
    of: Of,
    /// The cash in the drawer, in main units (`100.00`).
    #[arg(long, value_parser = amount)]
    float: i64,
    /// The currency of everything that the session counts.
    #[arg(long, default_value = "GBP")]
    currency: String,
    /// The session's own name: the same again is harmless. Random if not given.
    #[arg(long)]
    id: Option<LocalEventId>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Cash {
    #[command(flatten)]
    of: Of,
    /// How much, in main units: `50.00` is put in, `-50.00` is taken out.
    #[arg(long, value_parser = amount, allow_hyphen_values = true)]
    amount: i64,
    /// Why.
    #[arg(long, default_value = "")]
    reason: String,
    /// The movement's own name: the same again is harmless. Random if not given.
    #[arg(long)]
    id: Option<LocalEventId>,
}

#[derive(Debug, ClapArgs)]
pub(super) struct Close {
    #[command(flatten)]
    of: Of,
    /// The cash that was counted, in main units.
    #[arg(long, value_parser = amount)]
    cash: Option<i64>,
    /// What the card terminal's receipt says, in main units.
    #[arg(long, value_parser = amount)]
    card: Option<i64>,
    /// What was counted of anything else, in main units.
    #[arg(long, value_parser = amount)]
    other: Option<i64>,
    /// The closing's own name: the same again is harmless. Random if not given.
    #[arg(long)]
    id: Option<LocalEventId>,
}

/// Which register of which till.
#[derive(Debug, ClapArgs)]
pub(super) struct Of {
    #[command(flatten)]
    at: At,
    /// The register.
    #[arg(long)]
    pos: PosId,
}

fn amount(text: &str) -> Result<i64, &'static str> {
    decimal(text, 2)
}

pub(super) async fn run(show: Show, session: Session) -> Result<(), Failure> {
    let (of, body) = match session {
        Session::Open(Open { of, float, currency, id }) => {
            let currency = Currency::parse(&currency);
            let currency = currency.map_err(|error| Failure::Usage(error.to_string()))?;
            let (pos_id, local_event_id) = (of.pos, id.unwrap_or_else(random_id));
            let (at_ms, reference, float_minor) = (None, String::new(), float);
            let body = OpenBody { pos_id, local_event_id, at_ms, reference, currency, float_minor };
            (of, Some(SessionBody::Open(body)))
        }
        Session::Cash(Cash { of, amount, reason, id }) => {
            let (pos_id, local_event_id) = (of.pos, id.unwrap_or_else(random_id));
            let (at_ms, reference, delta_minor) = (None, String::new(), amount);
            let body = CashBody { pos_id, local_event_id, at_ms, reference, delta_minor, reason };
            (of, Some(SessionBody::Cash(body)))
        }
        Session::Close(Close { of, cash, card, other, id }) => {
            let (pos_id, local_event_id) = (of.pos, id.unwrap_or_else(random_id));
            let words = [TenderWord::Cash, TenderWord::Card, TenderWord::Other];
            let counted =
                words.into_iter().zip([cash, card, other]).filter_map(|(tender, held)| {
                    held.map(|amount_minor| CountedBody { tender, amount_minor })
                });
            let (at_ms, reference, counted) = (None, String::new(), counted.collect());
            let body = CloseBody { pos_id, local_event_id, at_ms, reference, counted };
            (of, Some(SessionBody::Close(body)))
        }
        Session::Show(of) => (of, None),
    };
    let access = match &body {
        Some(_) => Access::to_sell(of.at.home()).await?,
        None => Access::to_read(of.at.home()).await?,
    };
    if let Some(body) = body {
        access.session(body).await?;
    }
    let drawer = access.drawer(of.pos).await?;
    show.result(&json!(drawer), || text(&drawer))
}

/// Returns what a cashier reads: the open session, or else the last one.
fn text(drawer: &Drawer) -> String {
    let register = drawer.pos_id;
    match (&drawer.open, &drawer.last) {
        (None, None) => format!("register {register}: no session was opened yet\n"),
        (Some(open), _) => format!("register {register}: open\n{}", sheet(open)),
        (None, Some(last)) => format!("register {register}: closed\n{}", sheet(last)),
    }
}

fn sheet(sheet: &Sheet) -> String {
    let money = |minor: i64| format!("{} {}", scaled(minor, 2), sheet.currency);
    let mut head = table();
    head.add_row(["session", sheet.session_id.as_str()]);
    head.add_row(["since", &ago(sheet.at_ms.0)]);
    head.add_row(["sales", &sheet.sales.to_string()]);
    head.add_row(["refunds", &sheet.refunds.to_string()]);
    head.add_row(["lines", &sheet.lines.to_string()]);
    head.add_row(["turnover", &money(sheet.turnover_minor)]);
    for tax in &sheet.taxes {
        let rate = scaled(i64::from(tax.tax_ppm), 4);
        head.add_row([&format!("  of it at {rate} % tax"), &money(tax.amount.0)]);
    }
    head.add_row(["opening cash", &money(sheet.float_minor)]);
    head.add_row(["cash put in", &money(sheet.cash_in_minor)]);
    head.add_row(["cash taken out", &money(sheet.cash_out_minor)]);
    if let Some(cloud) = &sheet.cloud {
        head.add_row([Cell::new("cloud"), word(cloud)]);
    }
    let mut drawer = table();
    drawer.set_header(["tender", "expected", "counted", "difference"]);
    for tender in &sheet.tenders {
        let name = match tender.tender {
            TenderWord::Cash => "cash",
            TenderWord::Card => "card",
            TenderWord::Other => "other",
        };
        let shown = |minor: Option<i64>| minor.map_or_else(|| "not counted".to_owned(), money);
        let differs = Cell::new(shown(tender.difference_minor));
        drawer.add_row([
            Cell::new(name),
            Cell::new(money(tender.expected_minor)),
            Cell::new(shown(tender.counted_minor)),
            if tender.difference_minor.unwrap_or(0) == 0 {
                differs
            } else {
                differs.fg(Color::Red)
            },
        ]);
    }
    format!("{head}\n{drawer}\n")
}

fn word(cloud: &CloudWord) -> Cell {
    let late = match cloud.late_events {
        0 => String::new(),
        events => format!(", {events} came late ({})", scaled(cloud.late_minor, 2)),
    };
    match (cloud.status, &cloud.difference) {
        (CloudStatus::Waiting, _) => Cell::new("has not answered yet"),
        (CloudStatus::Confirmed, _) | (_, None) => Cell::new(format!("confirmed{late}")),
        (CloudStatus::Difference, Some(difference)) => {
            Cell::new(format!("{}{late}", differs(difference))).fg(Color::Red)
        }
    }
}

/// Returns what the cloud has more or less than was stated, in words.
fn differs(difference: &Difference) -> String {
    let mut parts: Vec<String> = Vec::new();
    let counts =
        [("sales", difference.sales), ("refunds", difference.refunds), ("lines", difference.lines)];
    parts.extend(
        counts.iter().filter(|(_, by)| *by != 0).map(|(what, by)| format!("{by:+} {what}")),
    );
    let mut money = |what: &str, by: i64| {
        if by != 0 {
            let sign = if by > 0 { "+" } else { "" };
            parts.push(format!("{sign}{} {what}", scaled(by, 2)));
        }
    };
    money("opening cash", difference.float.0);
    money("cash put in", difference.cash_in.0);
    money("cash taken out", difference.cash_out.0);
    for tender in &difference.tenders {
        let name = match TenderWord::from(tender.tender) {
            TenderWord::Cash => "cash",
            TenderWord::Card => "card",
            TenderWord::Other => "other",
        };
        money(&format!("{name} taken"), tender.taken.0);
        money(&format!("{name} returned"), tender.returned.0);
    }
    for tax in &difference.taxes {
        money(&format!("at {} % tax", scaled(i64::from(tax.tax_ppm), 4)), tax.amount.0);
    }
    money("at other tax rates", difference.other_taxes.0);
    if difference.foreign > 0 {
        parts.push(format!("+{} events in another currency", difference.foreign));
    }
    format!("differs: the cloud has {}", parts.join(", "))
}
