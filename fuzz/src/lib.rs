//! What reads bytes from strangers, one function a parser or state machine: each takes any bytes, and panics where a promise is broken.
//!
//! ```text
//! fuzz/src/*.rs           fn target(&[u8])            this crate, stable, a member of the workspace
//!   ├─ fuzz/tests/        every file of fuzz/corpus/NAME through its target, in `make test`
//!   ├─ fuzz/libfuzzer/    one libFuzzer binary for all of them, on nightly: `make fuzz SECONDS=60 [TARGET=NAME]`
//!   └─ examples/mutate.rs without nightly: mutation of the corpus, blind to coverage
//! ```
//!
//! Most bytes of the protocol stand under a tag, which no mutation gets past. Where that is so, a target makes the honest message
//! itself, from fixed draws, and takes its input as what a stranger does to it (`edits`): then the oracle is exact — an edited
//! message is refused, an unedited one is not — and where the parser behind a tag is meant, the target seals the input.

mod coded;
mod edits;
mod handshake;
mod keys;
mod picture;
mod session;
mod stored;
mod transfer;
mod wire;

/// A target by the name of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All targets.
pub const TARGETS: [Target; 15] = [
    ("at_rest", stored::at_rest),
    ("bitstream", coded::bitstream),
    ("chaos", transfer::chaos),
    ("container", picture::container),
    ("dicom", picture::dicom),
    ("entropy", coded::entropy),
    ("frame", wire::frame),
    ("image", picture::image),
    ("keys", keys::keys),
    ("message_1", handshake::message_1),
    ("message_2", handshake::message_2),
    ("model", coded::model),
    ("open", transfer::open),
    ("segments", transfer::segments),
    ("trust", keys::trust),
];

/// The target of this name.
#[must_use]
pub fn target(name: &str) -> Option<fn(&[u8])> {
    TARGETS.iter().find(|(known, _)| *known == name).map(|(_, target)| *target)
}
