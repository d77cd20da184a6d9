//! Reads every DICOM file that `DIR/EXPECTED.tsv` lists and prints whether it decoded, or was refused, as the table says:
//! `cargo run -p latentwire-imaging --example expected -- DIR`. Exit code 0 only if every row passes.
//!
//! The table has a header line with at least the columns path, expect (`ok`, `reject`, `reject-or-ok`), transfer_syntax,
//! photometric, min, max and raw_pixels_sha256_le: SHA-256 of the stored values, interleaved, little endian, one byte a
//! sample up to 8 bits allocated and two beyond.

use std::{collections::HashMap, env, fs, path::Path, process::ExitCode, time::Instant};

use latentwire_imaging::{ImagingError, Limits, LossyStep, Picture, PixelTensor, read, rebuild};
use sha2::{Digest, Sha256};

fn main() -> ExitCode {
    let Some(folder) = env::args().nth(1) else {
        eprintln!("usage: expected DIR");
        return ExitCode::FAILURE;
    };
    let folder = Path::new(&folder);
    let table = match fs::read_to_string(folder.join("EXPECTED.tsv")) {
        Ok(table) => table,
        Err(error) => {
            eprintln!("EXPECTED.tsv: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut lines = table.lines();
    let names: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let (mut passed, mut failed) = (0, 0);
    for line in lines {
        let row: HashMap<&str, &str> = names.iter().copied().zip(line.split('\t')).collect();
        let started = Instant::now();
        let outcome = fs::read(folder.join(row["path"])).map(|bytes| read(&bytes, &Limits::default()));
        let milliseconds = started.elapsed().as_secs_f64() * 1000.0;
        let verdict = match outcome {
            Ok(outcome) => judge(&row, outcome),
            Err(error) => Err(error.to_string()),
        };
        let (mark, note) = match verdict {
            Ok(note) => ("pass", note),
            Err(note) => ("FAIL", note),
        };
        *(if mark == "pass" { &mut passed } else { &mut failed }) += 1;
        println!("{mark}  {:<58} {milliseconds:7.1} ms  {note}", row["path"]);
    }
    println!("passed {passed}, failed {failed}");
    if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn judge(row: &HashMap<&str, &str>, outcome: Result<Picture, ImagingError>) -> Result<String, String> {
    let picture = match (row["expect"], outcome) {
        ("reject" | "reject-or-ok", Err(error)) => return Ok(format!("refused: {error}")),
        ("reject", Ok(_)) => return Err("decoded, but must be refused".to_owned()),
        (_, Ok(picture)) => picture,
        (_, Err(error)) => return Err(error.to_string()),
    };
    let pixels = &picture.pixels;
    let mut notes = vec![format!(
        "{}x{}x{} frames {} bits {}{}",
        pixels.width,
        pixels.height,
        pixels.channels,
        pixels.frames,
        pixels.bits,
        if pixels.signed { " signed" } else { "" }
    )];
    notes.extend(picture.exact_only.map(|reason| format!("exact only: {reason}")));
    notes.push(check_values(row, pixels)?);
    if picture.exact_only.is_none() {
        check_rebuilt(&picture)?;
    }
    Ok(notes.join(", "))
}

fn check_values(row: &HashMap<&str, &str>, pixels: &PixelTensor) -> Result<String, String> {
    if stored_sha256(pixels, row["bits_allocated"] == "16") == row["raw_pixels_sha256_le"] {
        return Ok("same values".to_owned());
    }
    let lossy = matches!(
        row["transfer_syntax"],
        "1.2.840.10008.1.2.4.50" | "1.2.840.10008.1.2.4.51" | "1.2.840.10008.1.2.4.91"
    );
    if row["photometric"].starts_with("YBR_FULL") {
        return Ok("converted to RGB, not comparable".to_owned());
    }
    let (low, high) = pixels.value_range();
    let near = |value: i32, stated: &str| stated.parse().is_ok_and(|stated: i32| (value - stated).abs() <= 4);
    if lossy && near(low, row["min"]) && near(high, row["max"]) {
        Ok(format!("lossy, range {low}..{high} near the stated one"))
    } else {
        Err(format!("other values: range {low}..{high}, stated {}..{}", row["min"], row["max"]))
    }
}

fn stored_sha256(pixels: &PixelTensor, two_bytes: bool) -> String {
    let mut hash = Sha256::new();
    let area = pixels.width as usize * pixels.height as usize;
    for frame in 0..pixels.frames {
        let samples = pixels.frame(frame);
        for pixel in 0..area {
            for channel in 0..usize::from(pixels.channels) {
                let sample = samples[channel * area + pixel];
                hash.update(&sample.to_le_bytes()[..if two_bytes { 2 } else { 1 }]);
            }
        }
    }
    hex::encode(hash.finalize())
}

/// Rebuilds the file with its own pixels and reads it again: the pixels must be the same.
fn check_rebuilt(picture: &Picture) -> Result<(), String> {
    let lossy =
        LossyStep { model: "none", decoder_digest: [7; 32], ratio: 1.0, mark: None, sop_instance_uid: None };
    let (_, file) = rebuild(picture.format, &picture.container, &picture.pixels, &lossy)
        .map_err(|error| format!("not rebuilt: {error}"))?;
    if let Ok(folder) = env::var("REBUILT") {
        let name = hex::encode(&picture.pixels.sha256()[..6]);
        fs::write(Path::new(&folder).join(name + ".dcm"), &file).map_err(|error| error.to_string())?;
    }
    let again = read(&file, &Limits::default()).map_err(|error| format!("rebuilt file not read: {error}"))?;
    if again.pixels == picture.pixels { Ok(()) } else { Err("rebuilt file has other pixels".to_owned()) }
}
