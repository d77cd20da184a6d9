//! Pixel tensor ⇄ latent tensor: ONNX Runtime sessions, pools, tiles. The only crate that names `ort`.
//!
//! ```text
//! fill(window) ─► pixels [1,C,H,W] ─► EncoderNet ─► LatentTensor [c,h,w]
//!                                                        │
//! emit(window, planes) ◄─ pixels [1,C,H,W] ◄─ DecoderNet ◄┘
//! ```
//!
//! Pictures of any size are run in tiles with a halo, so that memory is bounded by the tile and the result is that of
//! the whole picture at once. ONNX Runtime's library is loaded when a service starts, not linked: it is fetched by
//! `scripts/fetch-onnxruntime.sh`.
//!
//! ```no_run
//! use latentwire_inference::{DecoderNet, EncoderNet, Geometry, Planes, Runtime, SessionOptions};
//! use latentwire_model::{ModelFolder, Parts};
//!
//! let model = ModelFolder::read("models/ae224-fundus".as_ref(), Parts { encoder: true, decoder: true })?;
//! let (encoder, decoder) = (model.encoder.unwrap_or_default(), model.decoder.unwrap_or_default());
//! let runtime = Runtime::load(None)?;
//! let (geometry, options) = (Geometry::from(&model.decode), SessionOptions::default());
//!
//! let encoder = EncoderNet::new(&runtime, &encoder, geometry, &options)?;
//! let latent = encoder.encode(640, 480, &mut |_window, planes| planes.fill(0.5))?;
//! let decoder = DecoderNet::new(&runtime, &decoder, geometry, &options, model.decode.decoder.output)?;
//! decoder.decode(640, 480, &latent, &mut |window, planes| {
//!     if let Planes::Float32(values) = planes {
//!         println!("{window:?}: {} values", values.len());
//!     }
//! })?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod check;
mod error;
mod geometry;
mod net;
mod pool;
mod runtime;
mod session;

pub use check::fixed_latent;
pub use error::InferenceError;
pub use geometry::{Geometry, Window};
pub use latentwire_model::OutputKind;
pub use net::{DecoderNet, EncoderNet, LatentTensor, Planes};
pub use runtime::{Runtime, SessionOptions};
