//! docs/OPERATIONS.md is complete: every metric, every alert, every reason.

use std::{env, fs};

use latentwire_service::{
    measures::{MEASURES, Owner},
    status::reason,
};
use latentwire_tests::binaries;
use pacs_gateway::{elements::ElementError, negotiation::Rejection, outcome::Failure};

use crate::{gateway, journey, sources};

const PAGE: &str = "docs/OPERATIONS.md";
const BEGIN: &str =
    "<!-- metrics: written by UPDATE_OPERATIONS=1 cargo test -p latentwire-tests --test monitoring -->\n";
const END: &str = "<!-- end of metrics -->\n";
const HEAD: &str = "| metric | type | labels | meaning |\n|---|---|---|---|\n";

#[test]
fn the_list_of_metrics_is_what_is_said() {
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
        list += &format!("\n**{title}**\n\n{HEAD}");
        for measure in MEASURES.iter().filter(|measure| measure.owner == owner) {
            let labels = measure.labels.iter().copied();
            list += &row(measure.name, measure.kind.name(), labels, measure.help);
        }
    }
    list + &of_gateway() + "\n"
}

/// The gateway's metrics as it says them, since they stand in no table of the services.
fn of_gateway() -> String {
    let page = &journey::said().gateway;
    let shared: Vec<_> = gateway::shared(page).iter().map(|measure| format!("`{}`", measure.name)).collect();
    let mut list =
        format!("\n**pacs-gateway**\n\nOf the first list: {}. Its own:\n\n{HEAD}", shared.join(", "));
    for (name, labels) in gateway::own(page) {
        let family = page.family(name).expect("it is on the page");
        list += &row(name, &family.kind, labels.iter().map(String::as_str), &family.help);
    }
    list
}

fn row<'a>(name: &str, kind: &str, labels: impl Iterator<Item = &'a str>, help: &str) -> String {
    let labels: Vec<_> = labels.map(|label| format!("`{label}`")).collect();
    format!("| `{name}` | {kind} | {} | {help} |\n", labels.join(", "))
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
    let (services, gateway) =
        page.split_once("\n### At the gateway\n").expect("the gateway's reasons have their section");
    for reason in reason::ALL {
        let _row = explained(services, reason);
    }
    for failure in [
        Failure::BufferFull,
        Failure::Cancelled,
        Failure::DataSet(ElementError::Truncated),
        Failure::Mismatch,
        Failure::NoSender,
        Failure::NotDelivered,
        Failure::SenderUnavailable,
        Failure::TimedOut,
        Failure::TooLarge,
        Failure::Uid,
        Failure::WrongContext,
    ] {
        let row = explained(gateway, failure.reason());
        assert_eq!(row[1], format!("{:04X}", failure.status()), "{failure:?}");
    }
    for rejection in Rejection::ALL {
        let row = explained(gateway, rejection.reason());
        assert_eq!(row[1], "rejected", "{rejection:?}");
    }
    // What the gateway's own page lists, the services' words too.
    for reason in said_to_modalities(&sources::text("docs/GATEWAY.md")) {
        let _row =
            explained(if reason::ALL.contains(&reason.as_str()) { services } else { gateway }, &reason);
    }
}

/// The reasons in the table of what a modality hears.
fn said_to_modalities(page: &str) -> Vec<String> {
    let (_, rest) = page.split_once("\n## What a modality hears\n").expect("the table");
    let rows = rest.lines().take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| "));
    let reasons =
        rows.filter_map(|row| row.split(" | ").nth(1)).flat_map(|cell| cell.split('`').skip(1).step_by(2));
    let reasons: Vec<_> = reasons.map(str::to_owned).collect();
    assert!(reasons.len() > 15, "{reasons:?}");
    reasons
}

/// The row of a reason: the reason, its code or status, what is seen, what to do.
fn explained<'a>(text: &'a str, reason: &str) -> Vec<&'a str> {
    let begin = format!("| `{reason}` |");
    let row = text.lines().find(|line| line.starts_with(&begin));
    let row = row.unwrap_or_else(|| panic!("{PAGE} does not explain {reason}"));
    let cells: Vec<_> = row.trim_matches('|').split(" | ").map(str::trim).collect();
    assert_eq!(cells.len(), 4, "{reason}: reason, code or status, what is seen, what to do");
    assert!(cells[1..].iter().all(|cell| cell.len() > 1), "{reason} has an empty cell");
    cells
}
