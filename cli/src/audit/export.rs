//! `latentwire audit export`.

use latentwire_audit::a5::{self, End};
use latentwire_audit::{Record, Records};
use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{secret_key, unreadable};
use crate::{
    args::{ExportArgs, ExportFormat, RoleArg},
    failure::Failure,
    terminal::Terminal,
};

pub fn export(args: &ExportArgs, terminal: &mut Terminal<'_>) -> Result<(), Failure> {
    let key = if args.with_phi { secret_key(args.audit_key.as_ref())? } else { None };
    let records =
        Records::open(&args.folder, key.as_ref()).map_err(|error| unreadable(&args.folder, &error))?;
    let mut end = args.role.map(end_of);
    if args.format == ExportFormat::DicomXml {
        terminal.print("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<AuditMessages>\n")?;
    }
    for record in records {
        let record = record.map_err(|error| unreadable(&args.folder, &error))?;
        end = args.role.map(end_of).or_else(|| writer(&record)).or(end);
        if !is_within(&record, args) {
            continue;
        }
        let text = match args.format {
            ExportFormat::Json => object(&record).to_string(),
            ExportFormat::DicomXml => a5::message(&record, end.unwrap_or(End::Receiver)),
        };
        terminal.print(&format!("{text}\n"))?;
    }
    if args.format == ExportFormat::DicomXml {
        terminal.print("</AuditMessages>\n")?;
    }
    Ok(())
}

fn end_of(role: RoleArg) -> End {
    match role {
        RoleArg::Receiver => End::Receiver,
        RoleArg::Sender => End::Sender,
    }
}

/// Which service wrote it, by its own word.
fn writer(record: &Record) -> Option<End> {
    match record.event.service.as_ref()?.name.as_deref()? {
        "receiver-svc" => Some(End::Receiver),
        "sender-svc" => Some(End::Sender),
        _ => None,
    }
}

fn is_within(record: &Record, args: &ExportArgs) -> bool {
    // A time that cannot be read is shown rather than left out.
    let Ok(time) = OffsetDateTime::parse(&record.time, &Rfc3339) else { return true };
    args.since.as_ref().is_none_or(|since| time >= since.0)
        && args.until.as_ref().is_none_or(|until| time <= until.0)
}

fn object(record: &Record) -> Value {
    let mut object = json!({"seq": record.seq, "file": record.file, "time": record.time});
    let event = serde_json::to_value(&record.event).unwrap_or_default();
    if let (Value::Object(object), Value::Object(event)) = (&mut object, event) {
        object.extend(event);
    }
    match &record.identifiers {
        Some(identifiers) => object["identifiers"] = serde_json::to_value(identifiers).unwrap_or_default(),
        None if record.is_sealed => object["identifiers"] = "sealed".into(),
        None => {}
    }
    object
}
