//! `latentwire contact-sheet`: originals beside what was received, and their difference, as one PNG.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use latentwire_codec::imaging::{self, Limits, PixelTensor};
use serde_json::json;

use crate::{
    args::{ContactSheetArgs, Pair},
    failure::{Exit, Failure},
    paths::{self, display},
    terminal::Terminal,
    whole_file::WholeFile,
};

/// Draws the sheet.
///
/// # Errors
/// A file cannot be read as a picture, a pair differs in shape, or there is no pair.
pub fn contact_sheet(args: &ContactSheetArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let pairs = match (&args.original_dir, &args.received_dir) {
        (Some(originals), Some(received)) => match_folders(originals, received, terminal)?,
        (None, _) | (_, None) => args.pairs.clone(),
    };
    let mut pictures = Vec::with_capacity(pairs.len());
    for pair in &pairs {
        pictures.push((read(&pair.original)?, read(&pair.received)?));
    }
    let rows: Vec<_> = pictures.iter().map(|(original, received)| (original, received)).collect();
    let sheet = imaging::contact_sheet(&rows, args.thumbnail)
        .map_err(|error| Failure::local("CONTACT_SHEET", error.to_string()))?;
    WholeFile::write_all(&args.output, &sheet)?;
    if args.json {
        let object = json!({"path": display(&args.output), "pairs": pairs.len()});
        terminal.print(&format!("{object}\n"))?;
    } else if !terminal.quiet() {
        terminal.print(&format!("{}\n", args.output.display()))?;
    }
    Ok(Exit::Done)
}

fn read(path: &Path) -> Result<PixelTensor, Failure> {
    let bytes = fs::read(path).map_err(|error| Failure::file(path, &error))?;
    imaging::read(&bytes, &Limits::default())
        .map(|picture| picture.pixels)
        .map_err(|error| Failure::local("UNREADABLE_IMAGE", format!("{}: {error}", path.display())))
}

/// Pairs the pictures of two folders by their paths without the endings: a JPEG comes back as a PNG.
fn match_folders(originals: &Path, received: &Path, terminal: &Terminal<'_>) -> Result<Vec<Pair>, Failure> {
    let received = by_stem(received)?;
    let mut pairs = Vec::new();
    for (stem, original) in by_stem(originals)? {
        if let Some(received) = received.get(&stem) {
            pairs.push(Pair { original, received: received.clone() });
        } else {
            terminal.note(&format!("nothing was received for {}", original.display()));
        }
    }
    if pairs.is_empty() {
        return Err(Failure::usage("the two folders have no picture in common"));
    }
    Ok(pairs)
}

fn by_stem(folder: &Path) -> Result<BTreeMap<PathBuf, PathBuf>, Failure> {
    let mut pictures = BTreeMap::new();
    for file in paths::select(&[folder.to_owned()])?.files {
        let stem = file.strip_prefix(folder).unwrap_or(&file).with_extension("");
        if let Some(other) = pictures.insert(stem, file.clone()) {
            let message = format!(
                "{} and {} differ in their endings alone: name the pairs by --pairs",
                other.display(),
                file.display()
            );
            return Err(Failure::usage(message));
        }
    }
    Ok(pictures)
}
