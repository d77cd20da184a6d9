//! What a model folder says: manifests, digests, licences, entropy tables.
//!
//! ```text
//! models/<id>/manifest.toml   id, family, modality, licence, encoder      (who encodes reads this)
//! models/<id>/decode.toml     decoder, tables, shapes, quantiser steps    (all that decoding needs)
//!                  │
//!                  └─ SHA-256 of its exact bytes = DecoderDigest, bound into the sealed context
//! ```
//!
//! `decode.toml` names the decoder and the tables by their own digests, so one digest pins everything that decides
//! the reconstruction, while a better encoder or a mended model card orphans nothing.
//!
//! Parsing is pure (bytes in, values out); only [`ModelFolder::read`] and [`find`] touch the file system.
//!
//! ```
//! use latentwire_model::{DecodeSpec, DecoderDigest};
//!
//! let text = br#"
//! bitstream = 1
//! family = "ae224"
//! [decoder]
//! file = "decoder.onnx"
//! sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
//! output = "float32"
//! certified = false
//! [tables]
//! file = "tables.bin"
//! sha256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
//! [latent]
//! channels = 3
//! stride = 2
//! steps = [0.01, 0.012, 0.02]
//! [pixels]
//! channels = 3
//! [tiles]
//! size = 512
//! encoder_halo = 16
//! decoder_halo = 16
//! "#;
//! let spec = DecodeSpec::parse(text)?;
//! assert_eq!(spec.latent.stride, 2);
//! println!("pin this: {}", DecoderDigest::of(text));
//! # Ok::<(), latentwire_model::ModelError>(())
//! ```
#![forbid(unsafe_code)]

mod decode_spec;
mod digest;
mod encoder_spec;
mod error;
mod folder;
mod latent_spec;
mod manifest;
mod modality;
mod onnx;
mod purpose;

pub use decode_spec::{CheckSpec, DecodeSpec, DecoderSpec, OutputKind, PixelsSpec, TilesSpec};
pub use digest::{DecoderDigest, FileDigest};
pub use encoder_spec::{EncoderSpec, RateSpec};
pub use error::ModelError;
pub use folder::{ModelFolder, Parts, find};
pub use latent_spec::{LatentSpec, Quantiser};
pub use manifest::{Choose, FileRef, Manifest};
pub use modality::Modality;
pub use onnx::refuse_external_data;
pub use purpose::Purpose;
