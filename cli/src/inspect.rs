//! `latentwire inspect`: everything but the network, with the same policy and the same figures as `send`.

use std::path::Path;

use latentwire_codec::{
    Codec, CodecConfig, CodecError, Policy, SessionOptions, imaging::Limits, model::Parts,
};
use latentwire_proto::v1;
use latentwire_service::{args::models_folder, convert, status};

use crate::{
    args::InspectArgs,
    failure::{Exit, Failure},
    outcome::{ImageStatus, Outcome, TimingsMs},
    paths::{self, display},
    progress::Bars,
    results::Results,
    terminal::Terminal,
};

/// Codes every picture that the command line names, and prints what `send` would send.
///
/// # Errors
/// The models or ONNX Runtime cannot be loaded, or the policy is contradictory.
pub fn inspect(args: &InspectArgs, terminal: &mut Terminal<'_>) -> Result<Exit, Failure> {
    let policy = convert::policy_from_proto(Some(&v1::Policy::from(&args.policy)))
        .map_err(|error| Failure { exit: Exit::Usage, ..refused(&error.into()) })?
        .codec;
    let selection = paths::select(&args.paths)?;
    selection.tell(terminal);
    let codec = Codec::load(&config(args)).map_err(|error| unloadable(&error))?;
    let bars = Bars::new(selection.files.len(), selection.bytes(), terminal.quiet());
    let mut results = Results::new(terminal, args.json, None)?;
    for file in &selection.files {
        let bar = bars.image(&display(file));
        bar.at("coding", 0, 1);
        let outcome = inspect_one(&codec, file, &policy);
        bars.done(&bar, paths::length(file), Some(&outcome));
        bars.suspend(|| results.add(outcome))?;
    }
    drop(bars);
    results.finish()
}

fn config(args: &InspectArgs) -> CodecConfig {
    CodecConfig {
        models: models_folder(&args.models),
        pins: None,
        research: args.research_models,
        parts: Parts { encoder: true, decoder: true },
        sessions: SessionOptions { pool: 1, threads: usize::from(args.threads) },
        dylib: args.onnxruntime.clone(),
        limits: Limits::default(),
    }
}

fn inspect_one(codec: &Codec, file: &Path, policy: &Policy) -> Outcome {
    let prepared = paths::read(file).and_then(|source| {
        codec.prepare(&source, policy).map_err(|error: CodecError| refused(&error.into()))
    });
    match prepared {
        Ok(prepared) => {
            let image = convert::summary_from_report(&prepared.report);
            let outcome = Outcome::new(display(file), None, ImageStatus::WouldSend, Some(&image));
            // Nobody else decodes here, so the decoding that was done for measuring is shown as what it is.
            let timings = prepared.report.timings;
            let prepare = timings.prepare_ms + timings.measure_ms;
            let timings_ms = TimingsMs { prepare, decode: timings.decode_ms, ..outcome.timings_ms };
            Outcome { timings_ms, ..outcome }
        }
        Err(failure) => Outcome::rejected(display(file), None, None, failure),
    }
}

/// Why the models could not be loaded.
fn unloadable(error: &CodecError) -> Failure {
    Failure::local(error.reason(), error.to_string())
}

/// The failure with the code and reason that a service would answer with. Nothing is hidden in a service's log here, so the
/// message is the error itself.
fn refused(failure: &status::Failure) -> Failure {
    Failure { message: failure.to_string(), ..Failure::from(status::to_status(failure)) }
}
