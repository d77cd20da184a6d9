//! An expression held against what the services say: every metric, label and label value in it must exist.

use std::collections::{BTreeMap, BTreeSet};

use promql_parser::{
    label::{MatchOp, Matcher},
    parser::{AggregateExpr, BinaryExpr, Expr, LabelModifier, VectorSelector, parse},
};

use crate::{
    journey::{self, Said},
    page::{Page, Series},
    sources,
};

/// Labels that Prometheus adds to everything that it scrapes.
const ADDED: [&str; 2] = ["job", "instance"];

/// The job that scrapes the sender, in deploy/prometheus.yml.
pub const SENDER_JOB: &str = "latentwire-sender";
/// The job that scrapes the receiver.
pub const RECEIVER_JOB: &str = "latentwire-receiver";
/// The job that scrapes the gateway.
pub const GATEWAY_JOB: &str = "latentwire-gateway";

/// What can be asked: each job's page, what Prometheus knows by itself, and what earlier rules recorded.
pub struct Known<'a> {
    pages: [(&'static str, &'a Page); 3],
    by_itself: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Known<'a> {
    /// What was said, `up` and `ALERTS`.
    pub fn new(said: &'a Said) -> Self {
        let pages =
            [(SENDER_JOB, &said.sender), (RECEIVER_JOB, &said.receiver), (GATEWAY_JOB, &said.gateway)];
        let set = |labels: &[&str]| labels.iter().map(|label| (*label).to_owned()).collect::<BTreeSet<_>>();
        let by_itself = [("up", set(&ADDED)), ("ALERTS", set(&["alertname", "alertstate", "severity"]))];
        let by_itself = by_itself.map(|(name, labels)| (name.to_owned(), labels)).into();
        Self { pages, by_itself }
    }

    /// From now on the result of this rule can be asked for.
    pub fn record(&mut self, name: &str, labels: BTreeSet<String>) {
        self.by_itself.insert(name.to_owned(), labels);
    }

    /// The labels of what an expression returns.
    ///
    /// # Errors
    /// It is no PromQL, or something in it does not exist.
    pub fn labels_of(&self, text: &str) -> Result<BTreeSet<String>, String> {
        self.expression(&parse(text)?)
    }

    fn expression(&self, expression: &Expr) -> Result<BTreeSet<String>, String> {
        match expression {
            Expr::Aggregate(aggregate) => self.aggregate(aggregate),
            Expr::Unary(unary) => self.expression(&unary.expr),
            Expr::Binary(binary) => self.binary(binary),
            Expr::Paren(paren) => self.expression(&paren.expr),
            Expr::Subquery(subquery) => self.expression(&subquery.expr),
            Expr::NumberLiteral(_) | Expr::StringLiteral(_) => Ok(BTreeSet::new()),
            Expr::VectorSelector(selector) => self.selector(selector),
            Expr::MatrixSelector(matrix) => self.selector(&matrix.vs),
            Expr::Call(call) => {
                let mut labels = BTreeSet::new();
                for argument in &call.args.args {
                    labels.extend(self.expression(argument)?);
                }
                if call.func.name == "histogram_quantile" && !labels.remove("le") {
                    return Err("histogram_quantile needs the label le".to_owned());
                }
                Ok(labels)
            }
            Expr::Extension(_) => Err("an extension of PromQL".to_owned()),
        }
    }

    fn aggregate(&self, aggregate: &AggregateExpr) -> Result<BTreeSet<String>, String> {
        let labels = self.expression(&aggregate.expr)?;
        match &aggregate.modifier {
            None => Ok(BTreeSet::new()),
            Some(LabelModifier::Include(by)) => {
                let by: BTreeSet<String> = by.labels.iter().cloned().collect();
                all_in(&by, &labels).map(|()| by)
            }
            Some(LabelModifier::Exclude(without)) => {
                let without: BTreeSet<String> = without.labels.iter().cloned().collect();
                all_in(&without, &labels)?;
                Ok(labels.difference(&without).cloned().collect())
            }
        }
    }

    fn binary(&self, binary: &BinaryExpr) -> Result<BTreeSet<String>, String> {
        let (left, right) = (self.expression(&binary.lhs)?, self.expression(&binary.rhs)?);
        let vectors = !is_scalar(&binary.lhs) && !is_scalar(&binary.rhs);
        let matching = binary.modifier.as_ref().and_then(|modifier| modifier.matching.as_ref());
        match matching {
            Some(LabelModifier::Include(on) | LabelModifier::Exclude(on)) => {
                let on: BTreeSet<String> = on.labels.iter().cloned().collect();
                all_in(&on, &left)?;
                all_in(&on, &right)?;
            }
            // Without on() both sides must have the same labels, or nothing ever matches. `or` only adds up.
            None if vectors && left != right && !is_or(binary) => {
                return Err(format!("{left:?} never matches {right:?}: {binary}"));
            }
            None => {}
        }
        Ok(if is_or(binary) {
            left.intersection(&right).cloned().collect()
        } else if is_scalar(&binary.lhs) {
            right
        } else {
            left
        })
    }

    fn selector(&self, selector: &VectorSelector) -> Result<BTreeSet<String>, String> {
        let name = selector.name.as_deref().ok_or("a selector without a name")?;
        let matchers = &selector.matchers.matchers;
        if let Some(labels) = self.by_itself.get(name) {
            all_in(&matchers.iter().map(|matcher| matcher.name.clone()).collect(), labels)?;
            return Ok(labels.clone());
        }
        let of_job =
            |job: &str| matchers.iter().filter(|m| m.name == "job").all(|matcher| accepts(matcher, job));
        let asked: Vec<_> = self.pages.iter().filter(|(job, _)| of_job(job)).map(|(_, page)| *page).collect();
        let series: Vec<_> = asked.iter().flat_map(|page| page.series(name)).collect();
        if series.is_empty() {
            return Err(format!("no service that is asked says {name}"));
        }
        let own: Vec<_> = matchers.iter().filter(|matcher| !ADDED.contains(&matcher.name.as_str())).collect();
        for matcher in &own {
            let values: BTreeSet<_> =
                series.iter().filter_map(|series| series.labels.get(&matcher.name)).collect();
            if values.is_empty() {
                return Err(format!("{name} has no label {}", matcher.name));
            }
            // A value that nothing ever has is a slip of the pen; so is each word of an alternative.
            if let Some(word) = words(matcher).iter().find(|word| !values.contains(word)) {
                return Err(format!("{} of {name} is never {word:?}: {values:?}", matcher.name));
            }
        }
        let value = |series: &Series, label: &str| series.labels.get(label).cloned().unwrap_or_default();
        let selected = |series: &&&Series| own.iter().all(|m| accepts(m, &value(series, &m.name)));
        let labels = series.iter().filter(selected).map(|series| series.labels.keys().cloned().collect());
        let labels =
            labels.reduce(|one: BTreeSet<String>, other| one.intersection(&other).cloned().collect());
        let mut labels = labels.ok_or(format!("no series of {name} fits {own:?}"))?;
        labels.extend(ADDED.map(str::to_owned));
        Ok(labels)
    }
}

/// The plain words of `=`, `!=`, and of alternatives such as `=~"A|B"`.
fn words(matcher: &Matcher) -> Vec<String> {
    let plain = |word: &&str| {
        !word.is_empty() && word.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
    };
    match &matcher.op {
        MatchOp::Equal | MatchOp::NotEqual => vec![matcher.value.clone()],
        MatchOp::Re(_) | MatchOp::NotRe(_) => {
            matcher.value.split('|').filter(plain).map(str::to_owned).collect()
        }
    }
}

fn accepts(matcher: &Matcher, value: &str) -> bool {
    match &matcher.op {
        MatchOp::Equal => matcher.value == value,
        MatchOp::NotEqual => matcher.value != value,
        MatchOp::Re(regex) => regex.is_match(value),
        MatchOp::NotRe(regex) => !regex.is_match(value),
    }
}

fn all_in(wanted: &BTreeSet<String>, labels: &BTreeSet<String>) -> Result<(), String> {
    match wanted.difference(labels).next() {
        None => Ok(()),
        Some(missing) => Err(format!("the label {missing} is not among {labels:?}")),
    }
}

fn is_or(binary: &BinaryExpr) -> bool {
    binary.op.to_string() == "or"
}

fn is_scalar(expression: &Expr) -> bool {
    match expression {
        Expr::NumberLiteral(_) => true,
        Expr::Paren(paren) => is_scalar(&paren.expr),
        Expr::Unary(unary) => is_scalar(&unary.expr),
        Expr::Binary(binary) => is_scalar(&binary.lhs) && is_scalar(&binary.rhs),
        Expr::Call(call) => call.func.name == "time",
        Expr::Aggregate(_)
        | Expr::Subquery(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Extension(_) => false,
    }
}

/// Everything that can be asked after the journey, the recorded rules too.
fn known() -> Known<'static> {
    let mut known = Known::new(journey::said());
    for rule in sources::rules() {
        if let Some(name) = rule.record {
            let labels = known.labels_of(&rule.expr).unwrap_or_else(|why| panic!("{name}: {why}"));
            known.record(&name, labels);
        }
    }
    known
}

#[test]
fn alerts_and_dashboard_ask_for_what_exists() {
    let known = known();
    let (rules, dashboard) = (sources::rule_expressions(), sources::dashboard_expressions("5m", "1h"));
    assert!(rules.len() > 20 && dashboard.len() > 50, "{} and {}", rules.len(), dashboard.len());
    for expression in rules.into_iter().chain(dashboard) {
        let labels = known.labels_of(&expression.text);
        let labels = labels.unwrap_or_else(|why| panic!("{}: {why}\n{}", expression.place, expression.text));
        for wanted in &expression.wanted {
            assert!(
                labels.contains(wanted),
                "{} shows {wanted}, and its expression returns {labels:?}",
                expression.place
            );
        }
    }
}

#[test]
fn what_does_not_exist_is_found() {
    let known = known();
    for (sound, broken) in [
        ("latentwire_ready", "latentwire_readiness"),
        ("up{job=\"latentwire-sender\"}", "up{jobs=\"latentwire-sender\"}"),
        ("latentwire_stored_bytes", "latentwire_stored_bytes{job=\"latentwire-sender\"}"),
        (
            "latentwire_dicom_objects_total{job=\"latentwire-gateway\", status=~\"0110|A700\"}",
            "latentwire_dicom_objects_total{job=\"latentwire-gateway\", status=~\"0110|A701\"}",
        ),
        ("latentwire_verdicts_total{verdict=\"equal\"}", "latentwire_verdicts_total{verdict=\"same\"}"),
        (
            "latentwire_images_total{outcome!=\"exact_requested\"}",
            "latentwire_images_total{outcome!=\"exact\"}",
        ),
        (
            "latentwire_handshake_failures_total{reason=~\"HANDSHAKE_FAILED|PEER_NOT_ALLOWED\"}",
            "latentwire_handshake_failures_total{reason=~\"HANDSHAKE_FAILED|PEER_UNKNOWN\"}",
        ),
        (
            "sum by (reason) (latentwire_request_errors_total)",
            "sum by (cause) (latentwire_request_errors_total)",
        ),
        (
            "sum(latentwire_sessions_total) / sum(latentwire_ready)",
            "latentwire_sessions_total{destination=\"clinic-b\"} / latentwire_ready",
        ),
        (
            "histogram_quantile(0.9, sum by (le) (latentwire_step_seconds_bucket))",
            "histogram_quantile(0.9, sum by (step) (latentwire_step_seconds_bucket))",
        ),
        ("latentwire_ready", "latentwire_ready{"),
    ] {
        known.labels_of(sound).unwrap_or_else(|why| panic!("{sound}: {why}"));
        assert!(known.labels_of(broken).is_err(), "{broken} was not found out");
    }
}
