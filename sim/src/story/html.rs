//! A space-time diagram in one HTML file: no network, no other file.

use serde_json::json;

use super::{Lane, Story, What};

const PAGE: &str = include_str!("diagram.html");
const DATA: &str = "/*DATA*/null";

/// Returns the page. `title` says which run it is, `replay` how to see it again.
///
/// # Panics
/// If the page has no place for its data: a bug of this crate, which a test would have found.
#[must_use]
pub fn page(story: &Story, title: &str, replay: &str) -> String {
    let lanes = story.lanes();
    let lane_of = |lane: Lane| lanes.iter().position(|known| *known == lane).unwrap_or_default();
    let steps: Vec<_> = story
        .steps()
        .map(|step| {
            let (kind, message) = match step.what {
                What::Send(message) => ("send", message),
                What::Receive(message) => ("receive", message),
                What::Commit => ("commit", 0),
                What::Crash => ("crash", 0),
                What::Start => ("start", 0),
                What::Fault => ("fault", 0),
                What::Violation => ("violation", 0),
                What::Note => ("note", 0),
            };
            json!([step.at_us, lane_of(step.lane), kind, message, step.text])
        })
        .collect();
    let names: Vec<String> = lanes.iter().map(ToString::to_string).collect();
    let data = json!({
        "title": title, "replay": replay, "lanes": names, "steps": steps,
        "dropped": story.dropped(),
    });
    // Nothing in the data can end the script: `<` is written as JSON may write it.
    let data = data.to_string().replace('<', "\\u003c");
    let (before, after) = PAGE.split_once(DATA).expect("the page has a place for its data");
    [before, &data, after].concat()
}

#[cfg(test)]
mod tests {
    use super::super::tests::short;

    #[test]
    fn the_page_holds_the_story_and_nothing_can_end_its_script() {
        let page = super::page(&short(), "seed 7", "sim replay 7");
        assert_eq!(page.matches("</script>").count(), 1, "the page's own");
        assert!(page.contains(r#"[10,2,"commit",0,"till.record: sale s-1"]"#));
        assert!(page.contains("\\u003c/script>"));
        assert!(!page.contains("http://") && !page.contains("https://"), "it needs no network");
    }
}
