//! `docs/audit.md`: the chain from requirement to test, for whoever reads rather than runs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::chain::Chain;
use super::{Claim, LAWS, Status};

/// How wide a line of text is.
const WIDTH: usize = 126;

/// Returns the page.
pub(super) fn page(claims: &[(&String, &Claim)], chains: &BTreeMap<String, Chain>) -> String {
    let mut page = String::from(
        "# What is required, and what shows it\n\n\
         Made by `cargo xtask audit --markdown`; the audit of the continuous integration fails if \
         it is not up to date.\n\
         A claim fails there too if a test that it names does not exist or did not pass, or if an \
         end of a law's chain is loose.\n\n",
    );
    totals(&mut page, claims);
    page.push_str("\n## The laws\n");
    for law in LAWS {
        if let Some(chain) = chains.get(law) {
            of_law(&mut page, law, chain, claims);
        }
    }
    page.push_str("\n## The requirements\n");
    for (id, claim) in claims {
        of_claim(&mut page, id, claim);
    }
    page
}

fn totals(page: &mut String, claims: &[(&String, &Claim)]) {
    page.push_str("| group | requirements | shown | partly | planned |\n|---|---|---|---|---|\n");
    let mut groups: Vec<&str> = claims.iter().map(|(id, _)| group(id)).collect();
    groups.dedup();
    for name in groups.iter().copied().chain(["all"]) {
        let of = |status: Option<Status>| {
            let here = claims.iter().filter(|(id, claim)| {
                (name == "all" || group(id) == name) && status.is_none_or(|s| claim.status == s)
            });
            here.count()
        };
        let [shown, partly, planned] =
            [Status::Shown, Status::Partly, Status::Planned].map(|status| of(Some(status)));
        line(page, &format!("| {name} | {} | {shown} | {partly} | {planned} |", of(None)));
    }
}

fn group(id: &str) -> &str {
    id.split('.').next().unwrap_or(id)
}

fn of_law(page: &mut String, law: &str, chain: &Chain, claims: &[(&String, &Claim)]) {
    line(page, &format!("\n### {law}\n"));
    wrapped(page, "", &chain.says);
    page.push('\n');
    if let Some(why) = &chain.beyond {
        wrapped(page, "* ", &format!("**Specification**: none. {why}"));
    }
    for (property, models) in &chain.spec {
        let among = format!("**Specification**: `{property}`, in {} models: ", models.len());
        wrapped(page, "* ", &(among + &models.join(", ")));
    }
    for (what, names) in [
        ("Wrong variants of it", &chain.variants),
        ("Checked in", &chain.checkers),
        ("Borne by", &chain.code),
        ("Means something because the simulator has seen", &chain.sometimes),
        ("Wrong protocols that break it", &chain.wrong),
    ] {
        if !names.is_empty() {
            wrapped(page, "* ", &format!("**{what}**: {}", names.join(", ")));
        }
    }
    let needing = claims.iter().filter(|(_, claim)| claim.laws.iter().any(|name| name == law));
    let ids: Vec<&str> = needing.map(|(id, _)| id.as_str()).collect();
    wrapped(page, "* ", &format!("**Required by**: {}", ids.join(", ")));
}

fn of_claim(page: &mut String, id: &str, claim: &Claim) {
    line(page, &format!("\n### {id} ({})\n", claim.status.as_str()));
    wrapped(page, "", &claim.text);
    page.push('\n');
    if !claim.laws.is_empty() {
        wrapped(page, "* ", &format!("Laws: {}", claim.laws.join(", ")));
    }
    for test in &claim.tests {
        line(page, &format!("* `{test}`"));
    }
    if claim.tests.is_empty() {
        line(page, "* Nothing is claimed yet.");
    }
}

fn line(page: &mut String, text: &str) {
    let _infallible = writeln!(page, "{text}");
}

/// Writes a text in lines of bounded width; those after the first are set in.
fn wrapped(page: &mut String, mark: &str, text: &str) {
    let indent = " ".repeat(mark.len());
    let mut row = mark.to_owned();
    for word in text.split_whitespace() {
        if row.len() + word.len() >= WIDTH {
            line(page, row.trim_end());
            row.clone_from(&indent);
        }
        row.push_str(word);
        row.push(' ');
    }
    line(page, row.trim_end());
}

#[cfg(test)]
mod tests {
    use super::wrapped;

    #[test]
    fn long_texts_become_lines() {
        let mut page = String::new();
        wrapped(&mut page, "* ", &"word ".repeat(60));
        assert_eq!(page.split_whitespace().filter(|word| *word == "word").count(), 60);
        assert!(page.lines().all(|line| line.len() <= 126), "{page}");
        assert!(page.lines().skip(1).all(|line| line.starts_with("  word")), "{page}");
    }
}
