//! docs/OPERATIONS.md is complete: every metric, every alert, every reason.

use std::{env, fs};

use latentwire_service::{
    measures::{MEASURES, Measure, Owner},
    status::reason,
};
use latentwire_tests::binaries;

use crate::sources;

const PAGE: &str = "docs/OPERATIONS.md";
const BEGIN: &str =
    "<!-- metrics: written by UPDATE_OPERATIONS=1 cargo test -p latentwire-tests --test monitoring -->\n";
const END: &str = "<!-- end of metrics -->\n";

#[test]
fn the_list_of_metrics_is_the_services_own() {
    let page = sources::text(PAGE);
    let (before, rest) = page.split_once(BEGIN).expect("the list's begin");
    let (written, after) = rest.split_once(END).expect("the list's end");
    let list = list();
    if env::var_os("UPDATE_OPERATIONS").is_some() {
        let text = [before, BEGIN, &list, END, after].concat();
        fs::write(binaries::repository().join(PAGE), text).expect("the page can be written");
        return;
    }
    assert!(
        written == list,
        "{PAGE} is out of date: run UPDATE_OPERATIONS=1 cargo test -p latentwire-tests --test monitoring"
    );
}

fn list() -> String {
    let mut list = String::new();
    for (owner, title) in
        [(Owner::Both, "Both services"), (Owner::Sender, "sender-svc"), (Owner::Receiver, "receiver-svc")]
    {
        list += &format!("\n**{title}**\n\n| metric | type | labels | meaning |\n|---|---|---|---|\n");
        for measure in MEASURES.iter().filter(|measure| measure.owner == owner) {
            list += &row(measure);
        }
    }
    list + "\n"
}

fn row(measure: &Measure) -> String {
    let labels: Vec<_> = measure.labels.iter().map(|label| format!("`{label}`")).collect();
    format!("| `{}` | {} | {} | {} |\n", measure.name, measure.kind.name(), labels.join(", "), measure.help)
}

#[test]
fn every_alert_has_its_runbook() {
    let page = sources::text(PAGE);
    let mut alerts = Vec::new();
    for rule in sources::rules() {
        let Some(alert) = rule.alert else { continue };
        let expected = format!("{PAGE}#{}", alert.to_lowercase());
        assert_eq!(rule.annotations.get("runbook_url"), Some(&expected), "{alert}");
        let section = section(&page, &alert);
        for part in ["**Means:**", "**Do:**"] {
            assert!(section.contains(part), "the section of {alert} has no {part}");
        }
        alerts.push(alert);
    }
    for line in page.lines() {
        if let Some(title) = line.strip_prefix("### Latentwire") {
            assert!(alerts.contains(&format!("Latentwire{title}")), "{line}: there is no such alert");
        }
    }
}

/// The text under a heading of the third rank.
fn section<'a>(page: &'a str, title: &str) -> &'a str {
    let heading = format!("\n### {title}\n");
    let at = page.find(&heading).unwrap_or_else(|| panic!("{PAGE} has no section {title}"));
    let rest = &page[at + heading.len()..];
    &rest[..rest.find("\n#").unwrap_or(rest.len())]
}

#[test]
fn every_reason_is_explained() {
    let page = sources::text(PAGE);
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect())
        .collect();
    for reason in reason::ALL {
        let name = format!("`{reason}`");
        let row = rows
            .iter()
            .find(|row| row[0] == name)
            .unwrap_or_else(|| panic!("{PAGE} does not explain {reason}"));
        assert_eq!(row.len(), 4, "{reason}: reason, gRPC code, what the caller sees, what to do");
        assert!(row[1..].iter().all(|cell| cell.len() > 1), "{reason} has an empty cell");
    }
}
