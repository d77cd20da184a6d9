//! `latentwire audit verify`.

use std::path::Path;

use latentwire_audit::{
    Head,
    verify::{self, Checks, Report},
};
use serde_json::{Value, json};

use super::{secret_key, unreadable};
use crate::{
    args::VerifyArgs,
    failure::{Exit, Failure},
    paths::display,
    terminal::{Paint, Terminal, paint},
};

pub fn verify(args: &VerifyArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let key = secret_key(args.audit_key.as_ref())?;
    let heads = args.head.iter().map(|text| head(text)).collect::<Result<_, _>>()?;
    let after = match &args.after {
        Some(text) => {
            Some(Checks::hash(text).ok_or_else(|| Failure::usage("--after wants 64 hexadecimal digits"))?)
        }
        None => None,
    };
    let checks = Checks { key: key.as_ref(), heads, after };
    let report = verify::folder(&args.folder, &checks).map_err(|error| unreadable(&args.folder, &error))?;
    if args.json {
        terminal.print(&format!("{}\n", object(&report)))?;
    } else {
        show(&report, args, terminal)?;
    }
    Ok(if report.is_sound() { Exit::Done } else { Exit::Rejected })
}

/// A hash, or the file of a head.
fn head(text: &str) -> Result<[u8; 32], Failure> {
    if let Some(hash) = Checks::hash(text) {
        return Ok(hash);
    }
    let path = Path::new(text);
    let head = Head::read(path).map_err(|error| unreadable(path, &error))?;
    Checks::hash(&head.hash)
        .ok_or_else(|| Failure::local("AUDIT_LOG", format!("{text}: it is no head of an audit log")))
}

fn show(report: &Report, args: &VerifyArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    for finding in &report.findings {
        let file = finding.file.as_deref().map(|file| file.display().to_string()).unwrap_or_default();
        let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
        let place = if file.is_empty() { String::new() } else { format!("{file}{line}: ") };
        let word = paint(Paint::Bad, "FAULT");
        terminal.print(&format!("{word}  {place}{}\n", finding.what))?;
    }
    if report.more_findings > 0 {
        terminal.print(&format!("and {} more\n", report.more_findings))?;
    }
    if terminal.quiet() {
        return Ok(());
    }
    for note in &report.notes {
        terminal.print(&format!("note   {note}\n"))?;
    }
    let span = report.span.as_ref().map(|(first, last)| format!(", {first} to {last}")).unwrap_or_default();
    terminal.print(&format!("{} records in {} files{span}\n", report.records, report.files))?;
    if let Some((seq, hash)) = report.end {
        terminal.print(&format!("head: record {seq}, {}\n", hex::encode(hash)))?;
    }
    if report.unclean_stops > 0 {
        terminal.print(&format!("the service ended without a stop {} time(s)\n", report.unclean_stops))?;
    }
    let sound = if report.is_sound() {
        paint(Paint::Good, "the chain is whole")
    } else {
        paint(Paint::Bad, "NOT WHOLE")
    };
    let how = match (args.audit_key.is_some(), args.head.is_empty()) {
        (true, _) => "every record was authenticated with the audit key",
        (false, false) => "hashes alone, against the heads that were given",
        (false, true) => {
            "hashes alone: give --audit-key, or a --head that was written down, to rule out a chain written anew"
        }
    };
    terminal.print(&format!("{sound} ({how})\n"))
}

fn object(report: &Report) -> Value {
    let findings: Vec<Value> = report
        .findings
        .iter()
        .map(|finding| {
            json!({
                "file": finding.file.as_deref().map(display),
                "line": finding.line,
                "what": finding.what,
            })
        })
        .collect();
    json!({
        "sound": report.is_sound(),
        "authenticated": report.authenticated,
        "records": report.records,
        "files": report.files,
        "first_time": report.span.as_ref().map(|(first, _)| first),
        "last_time": report.span.as_ref().map(|(_, last)| last),
        "head": report.end.map(|(seq, hash)| json!({"seq": seq, "hash": hex::encode(hash)})),
        "unclean_stops": report.unclean_stops,
        "notes": report.notes,
        "findings": findings,
        "more_findings": report.more_findings,
    })
}
