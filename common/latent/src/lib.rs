//! Latent tensor ⇄ bytes: quantise and entropy-code.
//!
//! ```text
//! latent y ─► quantise ─► ŷ (integers) ─► encode ─► bytes
//! latent   ◄─ dequantise ◄─ ŷ           ◄─ decode ◄─ bytes
//! ```
//!
//! Everything that decides decoding is integer arithmetic on integer tables ([`Tables`], a model's `tables.bin`), so
//! every machine decodes the same bytes to the same integers. The scheme is context-adaptive range coding: each value's
//! mean and activity are predicted from its coded neighbours, and the pair selects one of the model's tables.
//!
//! The crate is pure: no files, clock, threads or randomness. Bytes may come from anywhere: decoding is bounded by
//! their length and refuses everything that [`encode`] does not write.
//!
//! ```
//! use latentwire_latent::{Tables, decode, dequantise, encode, quantise};
//!
//! // A model of one channel: no context, one table for -1..=1 and ESCAPE, for each of the 8 fractions.
//! let mut bin = b"LWTB\x01\x01\x10\x08".to_vec();
//! bin.extend([0; 4 + 2 + 4 + 2]); // no biases, no taps
//! bin.push(1); // one bin
//! for _ in 0..8 {
//!     bin.extend(1u16.to_le_bytes());
//!     for probability in [16_000u16, 32_000, 16_000, 1_536] {
//!         bin.extend((probability - 1).to_le_bytes());
//!     }
//! }
//! let tables = Tables::parse(&bin)?;
//!
//! let steps = [0.5];
//! let latent = quantise(&[0.1, -0.4, 0.6, 7.0], 1, 2, 2, &steps)?;
//! let bytes = encode(&tables, &latent)?;
//! let decoded = decode(&tables, 1, 2, 2, &bytes)?;
//! assert_eq!(decoded, latent);
//! assert_eq!(dequantise(&decoded, &steps)?, [0.0, -0.5, 0.5, 7.0]);
//! # Ok::<(), latentwire_latent::LatentError>(())
//! ```
#![forbid(unsafe_code)]

mod coder;
mod context;
mod error;
mod levels;
mod probability;
mod quantise;
mod range;
mod symbol;
mod tables;

pub use coder::{decode, encode};
pub use error::LatentError;
pub use levels::{
    Knob, LevelQuantiser, MAX_LEVEL, choose_levels, decode_levels, dequantise_levels, encode_levels,
    quantise_levels,
};
pub use quantise::{MAX_SYMBOL, QuantisedLatent, dequantise, quantise};
pub use tables::Tables;
