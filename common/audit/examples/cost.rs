//! What a record costs: alone, and in groups. `cargo run --release -p latentwire-audit --example cost -- FOLDER`

use std::time::Instant;

use latentwire_audit::verify::{self, Checks};
use latentwire_audit::{AuditKey, Event, Identifiers, Kind, Log, Outcome, Party, Settings};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let parent = std::env::args().nth(1).unwrap_or_else(|| "target".into());
    let folder = std::path::Path::new(&parent).join(format!("audit-cost-{}", std::process::id()));
    let key = AuditKey::generate();
    let (mut log, _) = Log::open(&folder, key.public_key(), Settings::default())?;
    for group in [1_usize, 4, 16, 64, 256] {
        let events = vec![record(); group];
        let rounds = (512 / group).max(8);
        let begun = Instant::now();
        for _ in 0..rounds {
            log.append(&events)?;
        }
        let each = begun.elapsed().as_secs_f64() * 1e6 / (rounds * group) as f64;
        println!("groups of {group:3}: {each:8.1} us a record");
    }
    let records = log.head().seq + 1;
    drop(log);
    let bytes: u64 = std::fs::metadata(folder.join("audit-000001.log"))?.len();
    println!("{} bytes a record", bytes / records);
    for (what, key) in [("hashes alone", None), ("with the audit key", Some(&key))] {
        let begun = Instant::now();
        let report = verify::folder(&folder, &Checks { key, ..Checks::default() })?;
        assert!(report.is_sound());
        println!("verify, {what}: {:.1} us a record", begun.elapsed().as_secs_f64() * 1e6 / records as f64);
    }
    Ok(std::fs::remove_dir_all(folder)?)
}

fn record() -> (Event, Option<Identifiers>) {
    let party = || {
        let key = Some("0123 4567 89ab cdef 0123 4567 89ab cdef 0123 4567".to_owned());
        Some(Party { name: Some("clinic-a".into()), key, address: None })
    };
    let mut event = Event::new(Kind::Transfer, Outcome::Delivered);
    (event.peer, event.service) = (party(), party());
    event.transfer_id = Some("00".repeat(16));
    event.image_id = Some("00".repeat(16));
    event.decoder_digest = Some("00".repeat(32));
    (event.form, event.model) = (Some("latent".into()), Some("rd-chest".into()));
    (event.coded_bytes, event.sealed_bytes) = (Some(40_000), Some(41_500));
    event.verdict = Some("equal".into());
    let mut whose = Identifiers::default();
    whose.patient_id = Some("4711".into());
    whose.patient_name = Some("DOE^JANE".into());
    whose.study_instance_uid = Some("1.2.826.0.1.3680043.8.498.1".into());
    whose.sop_instance_uid = Some("1.2.826.0.1.3680043.8.498.1.1.1".into());
    (event, Some(whose))
}
