//! A real Prometheus scrapes the real services and a real gateway, and evaluates every expression.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use latentwire_tests::{binaries, process::free_address};
use promql_parser::parser::{Expr, parse};
use serde_json::Value;

use crate::{
    journey::{self, Site},
    sources,
};

/// What everything may take in all.
const LIMIT: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(500);

#[test]
#[ignore = "needs Prometheus; scripts/check-monitoring.sh runs it where Debian's package can be had"]
fn prometheus_evaluates_every_expression() {
    let site = journey::open();
    let prometheus = Prometheus::start(&site);
    let expressions = [
        must_return_something(sources::rule_expressions()),
        must_return_something(sources::dashboard_expressions("20s", "2m")),
    ]
    .concat();
    let begun = Instant::now();
    let empty = loop {
        // Counters must grow while they are watched.
        journey::travel(&site);
        thread::sleep(POLL);
        let empty: Vec<_> =
            expressions.iter().filter(|(_, text)| prometheus.query(text).is_empty()).collect();
        if empty.is_empty() || begun.elapsed() > LIMIT {
            break empty.len().min(expressions.len()).to_string()
                + &format!(" of {}: {empty:#?}", expressions.len());
        }
    };
    assert!(empty.starts_with("0 of"), "these return nothing: {empty}");
    for expression in
        sources::rule_expressions().into_iter().chain(sources::dashboard_expressions("20s", "2m"))
    {
        let _evaluates = prometheus.query(&expression.text);
    }
    let up = prometheus.query("sum(up)");
    assert_eq!(up[0]["value"][1], "3", "{up:?}");
    prometheus.check_rules();
}

/// Of each expression what must return something after a journey without faults: the expression itself, or what it compares,
/// since an alert that is quiet returns nothing.
fn must_return_something(expressions: Vec<sources::Expression>) -> Vec<(String, String)> {
    let watched = |expression: sources::Expression| {
        let parsed = parse(&expression.text).expect("PromQL");
        (expression.place, compared(&parsed).to_string())
    };
    expressions.into_iter().map(watched).collect()
}

/// The left side of the outermost comparisons.
fn compared(expression: &Expr) -> &Expr {
    match expression {
        Expr::Binary(binary) if binary.op.is_comparison_operator() || binary.op.is_set_operator() => {
            compared(&binary.lhs)
        }
        Expr::Paren(paren) => compared(&paren.expr),
        Expr::Aggregate(_)
        | Expr::Unary(_)
        | Expr::Binary(_)
        | Expr::Subquery(_)
        | Expr::NumberLiteral(_)
        | Expr::StringLiteral(_)
        | Expr::VectorSelector(_)
        | Expr::MatrixSelector(_)
        | Expr::Call(_)
        | Expr::Extension(_) => expression,
    }
}

/// A Prometheus over deploy/prometheus.yml with the ports of this site; killed when dropped.
struct Prometheus {
    child: Child,
    address: SocketAddr,
}

impl Prometheus {
    fn start(site: &Site) -> Self {
        let Site { gateway, link } = site;
        let program = binaries::repository().join(".tools/prometheus");
        assert!(program.is_file(), "{} is missing: run scripts/fetch-prometheus.sh", program.display());
        let folder = link.workplace.new_folder("prometheus");
        let alerts = binaries::repository().join("deploy/alerts.yml");
        let configuration = replaced(
            &sources::text("deploy/prometheus.yml"),
            &[
                ("127.0.0.1:9451", &link.sender.service.admin().to_string()),
                ("127.0.0.1:9461", &link.receiver.service.admin().to_string()),
                ("127.0.0.1:9471", &gateway.service.admin().to_string()),
                ("scrape_interval: 15s", "scrape_interval: 1s"),
                ("evaluation_interval: 15s", "evaluation_interval: 1s"),
                ("- alerts.yml", &format!("- {}", alerts.display())),
            ],
        );
        let file = link.workplace.write("prometheus.yml", configuration.as_bytes());
        let address = free_address();
        let log = fs::File::create(link.workplace.path("prometheus.log")).expect("a log can be written");
        let child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!("--storage.tsdb.path={}", folder.display()))
            .arg(format!("--web.listen-address={address}"))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("prometheus can be started");
        let prometheus = Self { child, address };
        let begun = Instant::now();
        while prometheus.get("/-/ready").is_none_or(|(status, _)| status != 200) {
            assert!(begun.elapsed() < LIMIT, "Prometheus is not ready");
            thread::sleep(POLL);
        }
        prometheus
    }

    /// What an expression returns now.
    fn query(&self, text: &str) -> Vec<Value> {
        let answer = self.json(&format!("/api/v1/query?query={}", escaped(text)));
        assert_eq!(answer["status"], "success", "{text}\n{answer}");
        match answer["data"]["resultType"].as_str() {
            Some("vector" | "matrix") => answer["data"]["result"].as_array().expect("a result").clone(),
            _ => vec![answer["data"]["result"].clone()],
        }
    }

    /// Prometheus itself has evaluated every rule, without an error.
    fn check_rules(&self) {
        let begun = Instant::now();
        loop {
            let answer = self.json("/api/v1/rules");
            let groups = answer["data"]["groups"].as_array().expect("groups").clone();
            let rules: Vec<_> =
                groups.iter().flat_map(|group| group["rules"].as_array().expect("rules")).collect();
            assert_eq!(rules.len(), sources::rules().len());
            for rule in &rules {
                assert!(rule["lastError"].is_null(), "{rule}");
            }
            if rules.iter().all(|rule| rule["health"] == "ok") {
                return;
            }
            assert!(begun.elapsed() < LIMIT, "not every rule has been evaluated: {answer}");
            thread::sleep(POLL);
        }
    }

    fn json(&self, path: &str) -> Value {
        let (_, body) = self.get(path).unwrap_or_else(|| panic!("Prometheus does not answer {path}"));
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }

    /// HTTP 1.0, whose answers come in one piece.
    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(LIMIT)).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: {}\r\n\r\n", self.address).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let (head, body) = text.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn replaced(text: &str, pairs: &[(&str, &str)]) -> String {
    pairs.iter().fold(text.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from} is not in deploy/prometheus.yml");
        text.replace(from, to)
    })
}

fn escaped(text: &str) -> String {
    text.bytes()
        .map(
            |byte| {
                if byte.is_ascii_alphanumeric() {
                    char::from(byte).to_string()
                } else {
                    format!("%{byte:02X}")
                }
            },
        )
        .collect()
}
