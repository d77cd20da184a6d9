//! A page of `/metrics`, taken apart.

use std::collections::{BTreeMap, BTreeSet};

use latentwire_tests::admin;
use promql_parser::parser::{Expr, VectorSelector, parse};

/// What a service said.
pub struct Page {
    families: BTreeMap<String, Family>,
}

/// All series of one metric.
#[derive(Default)]
pub struct Family {
    pub kind: String,
    pub help: String,
    pub series: Vec<Series>,
}

/// One series; of a histogram, one of its buckets, its sum or its count.
pub struct Series {
    pub name: String,
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

impl Page {
    /// Reads the text format.
    pub fn read(text: &str) -> Self {
        let mut families = BTreeMap::<String, Family>::new();
        for line in text.lines() {
            if let Some((name, help)) = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' ')) {
                help.clone_into(&mut families.entry(name.to_owned()).or_default().help);
            }
            if let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
                let family = families.entry(name.to_owned()).or_default();
                assert!(family.kind.is_empty(), "{name} stands twice on one page");
                kind.clone_into(&mut family.kind);
            }
        }
        let mut page = Self { families };
        for sample in admin::parse_metrics(text).unwrap_or_else(|line| panic!("not a sample: {line}")) {
            let series = Series { labels: labels(&sample.series), name: sample.name, value: sample.value };
            let family =
                page.family_name(&series.name).unwrap_or_else(|| panic!("{} has no # TYPE", series.name));
            page.families.entry(family).or_default().series.push(series);
        }
        page
    }

    /// The names of all metrics.
    pub fn names(&self) -> Vec<&str> {
        self.families.keys().map(String::as_str).collect()
    }

    /// A metric by its name; a histogram without `_bucket`, `_sum` and `_count`.
    pub fn family(&self, name: &str) -> Option<&Family> {
        self.families.get(name)
    }

    /// The names of all labels of a metric, but a histogram's own.
    pub fn labels_of(&self, name: &str) -> BTreeSet<String> {
        let series = self.families.get(name).into_iter().flat_map(|family| &family.series);
        series.flat_map(|series| series.labels.keys()).filter(|label| *label != "le").cloned().collect()
    }

    /// The series of this very name.
    pub fn series<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Series> {
        let family = self.family_name(name).and_then(|family| self.families.get(&family));
        family.into_iter().flat_map(|family| &family.series).filter(move |series| series.name == name)
    }

    /// The sum of the series with this name and these labels.
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let fits = |series: &&Series| {
            labels.iter().all(|(label, value)| series.labels.get(*label).is_some_and(|found| found == value))
        };
        self.series(name).filter(fits).map(|series| series.value).sum()
    }

    fn family_name(&self, series: &str) -> Option<String> {
        if self.families.contains_key(series) {
            return Some(series.to_owned());
        }
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|ending| series.strip_suffix(ending))?;
        self.families.get(base).filter(|family| family.kind == "histogram").map(|_| base.to_owned())
    }
}

/// The labels of a series: as it stands on the page it is a PromQL selector too.
fn labels(series: &str) -> BTreeMap<String, String> {
    let parsed = parse(series).unwrap_or_else(|error| panic!("{series}: {error}"));
    let Expr::VectorSelector(VectorSelector { matchers, .. }) = parsed else {
        panic!("{series} is no series")
    };
    matchers.matchers.into_iter().map(|matcher| (matcher.name, matcher.value)).collect()
}
