//! The expressions of deploy/alerts.yml and deploy/grafana/latentwire.json, and where each stands.

use std::{collections::BTreeMap, fs};

use latentwire_tests::binaries;
use serde::Deserialize;
use serde_json::Value;

/// A file of rules.
#[derive(Deserialize)]
pub struct Rules {
    pub groups: Vec<Group>,
}

/// A group of rules.
#[derive(Deserialize)]
pub struct Group {
    pub rules: Vec<Rule>,
}

/// A recording rule, or an alert.
#[derive(Deserialize)]
pub struct Rule {
    pub record: Option<String>,
    pub alert: Option<String>,
    pub expr: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// An expression, and the labels that a legend or an annotation wants of what it returns.
#[derive(Clone, Debug)]
pub struct Expression {
    pub place: String,
    pub text: String,
    pub wanted: Vec<String>,
}

/// A file of the checkout.
pub fn text(path: &str) -> String {
    fs::read_to_string(binaries::repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The rules of deploy/alerts.yml, in their order.
pub fn rules() -> Vec<Rule> {
    let rules: Rules = serde_saphyr::from_str(&text("deploy/alerts.yml")).expect("deploy/alerts.yml is YAML");
    rules.groups.into_iter().flat_map(|group| group.rules).collect()
}

/// The dashboard.
pub fn dashboard() -> Value {
    serde_json::from_str(&text("deploy/grafana/latentwire.json")).expect("the dashboard is JSON")
}

/// The dashboard's panels without its rows.
pub fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().expect("panels");
    panels.iter().filter(|panel| panel["type"] != "row").collect()
}

/// Every expression of the rules.
pub fn rule_expressions() -> Vec<Expression> {
    let of_rule = |rule: Rule| {
        let place = rule.alert.or(rule.record).expect("a rule has a name");
        let annotations = rule.annotations.values().map(String::as_str).collect::<String>();
        Expression { place, text: rule.expr, wanted: after(&annotations, "$labels.") }
    };
    rules().into_iter().map(of_rule).collect()
}

/// Every expression of the dashboard, its variables filled in as Grafana would with everything selected and these ranges.
pub fn dashboard_expressions(rate_interval: &str, range: &str) -> Vec<Expression> {
    let dashboard = dashboard();
    let fill = |text: &str| {
        let filled = text.replace("$__rate_interval", rate_interval).replace("$__range", range);
        ["$sender", "$receiver", "$gateway", "$destination"]
            .iter()
            .fold(filled, |text, name| text.replace(name, ".+"))
    };
    let mut found = Vec::new();
    for panel in panels(&dashboard) {
        let title = panel["title"].as_str().unwrap_or_default();
        for target in panel["targets"].as_array().expect("targets") {
            let text = target["expr"].as_str().unwrap_or_default();
            let wanted = after(target["legendFormat"].as_str().unwrap_or_default(), "{{");
            found.push(Expression { place: format!("panel {title:?}"), text: fill(text), wanted });
        }
    }
    for annotation in dashboard["annotations"]["list"].as_array().expect("annotations") {
        if let Some(text) = annotation["expr"].as_str() {
            let formats =
                ["titleFormat", "textFormat"].map(|name| annotation[name].as_str().unwrap_or_default());
            found.push(Expression {
                place: format!("annotation {}", annotation["name"]),
                text: fill(text),
                wanted: after(&formats.concat(), "{{"),
            });
        }
    }
    for variable in dashboard["templating"]["list"].as_array().expect("variables") {
        let Some(query) = variable["query"]["query"].as_str() else { continue };
        let inner = query.strip_prefix("label_values(").and_then(|rest| rest.strip_suffix(')'));
        let (text, label) =
            inner.and_then(|inner| inner.rsplit_once(", ")).expect("label_values(QUERY, LABEL)");
        let place = format!("variable {}", variable["name"]);
        found.push(Expression { place, text: fill(text), wanted: vec![label.to_owned()] });
    }
    found
}

/// The words that follow a mark, as in `$labels.instance` or `{{instance}}`.
fn after(text: &str, mark: &str) -> Vec<String> {
    let word = |rest: &str| {
        let end =
            rest.find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_').unwrap_or(rest.len());
        rest[..end].to_owned()
    };
    text.split(mark).skip(1).map(word).filter(|word| !word.is_empty()).collect()
}
