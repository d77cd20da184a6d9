//! The form of the rules, of Prometheus' configuration and of the dashboard.

use std::collections::BTreeSet;

use latentwire_tests::binaries;
use serde::Deserialize;
use serde_json::Value;

use crate::{query, sources};

/// deploy/prometheus.yml, as far as it is ours.
#[derive(Deserialize)]
struct Configuration {
    rule_files: Vec<String>,
    scrape_configs: Vec<Job>,
}

#[derive(Deserialize)]
struct Job {
    job_name: String,
    static_configs: Vec<Targets>,
}

#[derive(Deserialize)]
struct Targets {
    targets: Vec<String>,
}

/// deploy/alerts.test.yml, as far as it is looked at here.
#[derive(Deserialize)]
struct Cases {
    tests: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    input_series: Vec<Value>,
    promql_expr_test: Vec<Test>,
}

#[derive(Deserialize)]
struct Test {
    expr: String,
    exp_samples: Vec<Value>,
}

#[test]
fn prometheus_scrapes_the_default_admin_ports() {
    let configuration: Configuration =
        serde_saphyr::from_str(&sources::text("deploy/prometheus.yml")).expect("YAML");
    assert_eq!(configuration.rule_files, ["alerts.yml"]);
    let jobs: Vec<_> = configuration
        .scrape_configs
        .iter()
        .map(|job| (job.job_name.as_str(), job.static_configs[0].targets.join(" ")))
        .collect();
    let expected = [
        (query::SENDER_JOB, "127.0.0.1:9451"),
        (query::RECEIVER_JOB, "127.0.0.1:9461"),
        (query::GATEWAY_JOB, "127.0.0.1:9471"),
    ];
    assert_eq!(jobs, expected.map(|(job, target)| (job, target.to_owned())));
    for (_, target) in expected {
        assert!(
            sources::text("docs/CONFIGURATION.md").contains(target),
            "{target} is not the default any more"
        );
    }
}

#[test]
fn every_alert_says_what_is_wrong_and_has_its_cases() {
    let cases: Cases = serde_saphyr::from_str(&sources::text("deploy/alerts.test.yml")).expect("YAML");
    let mut seen = BTreeSet::new();
    for rule in sources::rules() {
        let Some(alert) = rule.alert else { continue };
        assert!(seen.insert(alert.clone()), "{alert} stands twice");
        let severity = rule.labels.get("severity").map(String::as_str);
        assert!(matches!(severity, Some("critical" | "warning" | "info")), "{alert}: {severity:?}");
        for annotation in ["summary", "description", "runbook_url"] {
            assert!(rule.annotations.contains_key(annotation), "{alert} has no {annotation}");
        }
        let case = cases.tests.iter().find(|case| case.name == alert);
        let case = case.unwrap_or_else(|| panic!("deploy/alerts.test.yml has no case of {alert}"));
        assert!(case.input_series.len() > 1, "{alert} needs a series that fires and one that does not");
        let fires = |test: &Test| test.expr.contains(&format!("\"{alert}\"")) && !test.exp_samples.is_empty();
        assert!(case.promql_expr_test.iter().any(fires), "no case in which {alert} fires");
    }
    assert_eq!(cases.tests.len(), seen.len(), "a case of an alert that does not exist");
}

#[test]
fn every_panel_says_what_it_shows() {
    let dashboard = sources::dashboard();
    let mut ids = BTreeSet::new();
    let mut cells = BTreeSet::new();
    for panel in dashboard["panels"].as_array().expect("panels") {
        let title = panel["title"].as_str().unwrap_or_default();
        assert!(!title.is_empty() && ids.insert(panel["id"].as_u64().expect("an id")), "{panel}");
        let place = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24, "{title} is beyond the edge");
        for y in place("y")..place("y") + place("h") {
            for x in place("x")..place("x") + place("w") {
                assert!(cells.insert((x, y)), "{title} lies over another panel");
            }
        }
    }
    for panel in sources::panels(&dashboard) {
        let title = &panel["title"];
        assert!(
            panel["description"].as_str().is_some_and(|text| text.len() > 15),
            "{title} has no description"
        );
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title} has no unit");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().expect("targets") {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
        }
    }
    // Whoever puts the dashboard in place by provisioning finds the file by its name.
    assert!(binaries::repository().join("deploy/grafana/provisioning/dashboards/latentwire.yml").is_file());
}
