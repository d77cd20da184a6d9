//! `latentwire doctor` beside running services: all is well, and what is not is found.

use latentwire_tests::{Link, Run, binaries, workplace::DESTINATION};
use serde_json::Value;

fn doctor(link: &Link, trust: &str, extra: &[&str]) -> Run {
    let text = |name: &str| link.workplace.path(name).to_str().expect("text").to_owned();
    let destination = format!("{DESTINATION}=http://{},{}", link.receiver.transfer, text("receiver.key.pub"));
    let models = binaries::repository().join("models");
    let mut arguments = vec!["doctor".to_owned()];
    for (flag, value) in [
        ("--models", models.to_str().expect("text").to_owned()),
        ("--trust", text(trust)),
        ("--data", link.receiver.data.to_str().expect("text").to_owned()),
        ("--min-free-bytes", "1".to_owned()),
        ("--sender", format!("http://{}", link.sender.address)),
        ("--receiver", format!("http://{}", link.receiver.images)),
        ("--destination", destination),
        ("--port", link.sender.address.to_string()),
        ("--port", link.sender.service.admin().to_string()),
        ("--port", link.receiver.transfer.to_string()),
        ("--port", link.receiver.images.to_string()),
        ("--port", link.receiver.service.admin().to_string()),
    ] {
        arguments.extend([flag.to_owned(), value]);
    }
    arguments.extend(extra.iter().map(|argument| (*argument).to_owned()));
    Run::latentwire(arguments)
}

#[test]
fn beside_running_services_every_check_is_ok() {
    let mut link = Link::open();
    // What the receiver made because it was given no audit key, and its warning says: it belongs to the auditor.
    let secret = link.workplace.path("receiver-data.audit.key");
    let found = doctor(&link, "trust.toml", &["--json"]).expect_success().objects();
    assert!(
        found.iter().any(|finding| finding["status"] == "warn" && says(finding, "secret audit key")),
        "{found:#?}"
    );
    std::fs::rename(&secret, secret.with_extension("moved")).expect("moved away");
    let (store, key) = (link.workplace.path("receivers.toml"), link.workplace.path("receiver.key.pub"));
    let add = ["trust", "add", store.to_str().expect("text"), "--name", DESTINATION, "--key"];
    let _added = Run::latentwire(add.into_iter().chain(key.to_str())).expect_success();
    for (role, key, trust) in
        [("sender", "sender.key", "receivers.toml"), ("receiver", "receiver.key", "trust.toml")]
    {
        let key = link.workplace.path(key);
        let flags = ["--role", role, "--key", key.to_str().expect("text")];
        let found = doctor(&link, trust, &[&flags[..], &["--json"]].concat()).expect_success().objects();
        assert!(found.iter().all(|finding| finding["status"] == "ok"), "{found:#?}");
        let count = |check: &str| found.iter().filter(|finding| finding["check"] == check).count();
        assert_eq!(count("port"), 5);
        for check in
            ["library", "models", "key", "trust", "data", "audit", "sender", "receiver", "destination"]
        {
            assert_eq!(count(check), 1, "{check}: {found:#?}");
        }
        assert_eq!(count("clock"), 4, "the program's and three peers': {found:#?}");
        let held = |what: &str| found.iter().filter(|finding| says(finding, what)).count();
        assert_eq!((held("held by sender-svc"), held("held by receiver-svc")), (1, 2), "{found:#?}");
        assert_eq!(held("admin port"), 2, "{found:#?}");
        let quiet = doctor(&link, trust, &[&flags[..], &["--quiet"]].concat()).expect_success();
        assert!(quiet.out.is_empty() && quiet.err.is_empty(), "{quiet:?}");
    }

    assert!(link.sender.service.terminate().status.success());
    let run = doctor(&link, "trust.toml", &["--json"]);
    assert_eq!(run.exit, 1, "{run:?}");
    let failed: Vec<_> = run.objects().into_iter().filter(|finding| finding["status"] == "fail").collect();
    assert!(failed.len() == 1 && failed[0]["check"] == "sender", "{failed:#?}");
    assert!(says(&failed[0], "cannot be reached"), "{failed:#?}");
}

fn says(finding: &Value, part: &str) -> bool {
    finding["message"].as_str().is_some_and(|message| message.contains(part))
}
