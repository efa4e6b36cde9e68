//! `verify`: shows what differs from the cloud's catalog, and mends it if it is told to.

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use counterfoil_protocol::reconcile::Plan;
use serde_json::json;

use super::Failure;
use super::access::{Access, print};
use super::args;
use super::show::Show;
use crate::api::{AppliedBody, VerifiedBody};
use crate::verify::Verified;

pub(super) async fn verify(show: Show, wish: args::Verify) -> Result<(), Failure> {
    let access = Access::to_sell(wish.at.clone().home()).await?;
    let reviewed = match &wish.plan {
        Some(file) if wish.apply => {
            let json = fs::read(file)
                .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
            let plan = Plan::from_json(&json)
                .map_err(|why| Failure::Usage(format!("{}: {why}", file.display())))?;
            Some(VerifiedBody::new(Verified::Plan(Box::new(plan))))
        }
        Some(_) | None => None,
    };
    let was_reviewed = reviewed.is_some();
    let verified = match reviewed {
        Some(reviewed) => reviewed,
        None => access.verify().await?,
    };
    if !wish.apply {
        if let (Some(file), Some(plan)) = (&wish.plan, &verified.plan) {
            fs::write(file, plan.json() + "\n")
                .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
        }
        show.result(&json!(verified.plan), || verified.text.clone())?;
        return match &verified.plan {
            Some(plan) if plan.is_clean() => Ok(()),
            Some(plan) if !plan.changes_something() => Ok(()),
            Some(_) => Err(Failure::Refused(
                "the catalog differs from the cloud's: apply this with --apply".to_owned(),
            )),
            None => Err(Failure::Refused(
                "too much differs for a plan (POS_CATALOG_MANIFEST_TOO_LARGE): fetch the whole \
                 catalog with --apply"
                    .to_owned(),
            )),
        };
    }
    if !show.json && !was_reviewed {
        print(&verified.text)?;
    }
    let nothing = verified.plan.as_ref().is_some_and(|plan| !plan.changes_something());
    let applied = if nothing {
        AppliedBody {
            counts: verified.plan.as_ref().map(|plan| plan.counts).unwrap_or_default(),
            version: verified.plan.as_ref().map(|plan| plan.version),
        }
    } else {
        confirm(&wish, &verified)?;
        access.apply_plan(verified.plan.as_ref()).await?
    };
    show.result(&json!(applied), || told(&applied, verified.plan.is_some()))
}

fn told(applied: &AppliedBody, planned: bool) -> String {
    let counts = applied.counts;
    match applied.version {
        Some(version) if planned => format!(
            "applied: {} changed, {} added, {} removed; the catalog is at version {version}\n",
            counts.update, counts.insert, counts.delete
        ),
        Some(_) | None => "the whole catalog is being fetched again\n".to_owned(),
    }
}

/// Asks before more than 5 % of the entries are removed.
fn confirm(wish: &args::Verify, verified: &VerifiedBody) -> Result<(), Failure> {
    let risky = verified.plan.as_ref().is_some_and(Plan::needs_confirmation);
    if wish.yes || !risky {
        return Ok(());
    }
    let refused = || {
        Failure::Refused(
            "nothing was applied: it would remove more than 5 % of the entries; read the plan, \
             then add --yes"
                .to_owned(),
        )
    };
    if !io::stdin().is_terminal() {
        return Err(refused());
    }
    eprint!("This removes more than 5 % of the entries. Apply it? [y/N] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if answer.trim().eq_ignore_ascii_case("y") { Ok(()) } else { Err(refused()) }
}
