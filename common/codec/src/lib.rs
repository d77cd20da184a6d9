//! File ⇄ coded image, by policy: joins imaging, inference and latent, owns the bitstream, the
//! choice of model and the certificate.
//!
//! ```text
//!             choose ─► encode ──────────────► write          prepare (sender)
//!  file ─►    model     normalise, encoder     bitstream ─┐
//!  imaging              net, quantise, code               ├─► decode ─► measure ─► floors: latent, exact or refusal
//!             rebuild ◄─ decode ◄──────────── parse ◄─────┘
//!  file ◄─               entropy decoder,                      restore (receiver: the very same decode)
//!                        decoder net, store
//! ```
//!
//! The coded image is fixed in docs/BITSTREAM.md. What a sender measures, it measures on the bytes
//! it is about to send, by the receiver's own path.
//!
//! ```no_run
//! use latentwire_codec::{Codec, CodecConfig, Policy, SessionOptions, imaging::Limits, model::Parts};
//!
//! let codec = Codec::load(&CodecConfig {
//!     models: "models".into(),
//!     pins: None,
//!     research: false,
//!     parts: Parts { encoder: true, decoder: true },
//!     sessions: SessionOptions::default(),
//!     dylib: None,
//!     limits: Limits::default(),
//! })?;
//! let prepared = codec.prepare(&std::fs::read("samples/fundus.png")?, &Policy::default())?;
//! println!("{} bytes, {:?}", prepared.coded.len(), prepared.report.fidelity);
//! let restored = codec.restore(&prepared.coded)?;
//! assert_eq!(restored.pixels, prepared.reconstruction);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod attempt;
mod bitstream;
mod choice;
mod codec;
mod decode;
mod encode;
mod error;
#[cfg(test)]
mod frozen;
mod models;
mod normalise;
mod policy;
mod prepare;
mod quantiser;
mod rate;
mod report;
mod restore;
mod rows;
mod tiles;

pub use bitstream::{ExactHeader, Form, Header, LatentHeader};
pub use codec::{Codec, CodecConfig};
pub use error::CodecError;
pub use latentwire_imaging as imaging;
pub use latentwire_inference::{InferenceError, Runtime, SessionOptions};
pub use latentwire_model as model;
pub use models::RESEARCH_FOLDER;
pub use policy::{
    BelowFloor, DEFAULT_MIN_SSIM, Floors, LatentCoding, MAX_QUANTISER_STEP_PERCENT, Mode, Policy,
};
pub use report::{
    Certificate, Mark, ModelInfo, Prepared, Report, RestoreTimings, Restored, RowLayout, SelfCheck, Timings,
};
