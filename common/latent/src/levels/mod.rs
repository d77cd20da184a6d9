//! Latents with block levels: their quantisers, their context model, their coder.

mod choice;
mod coder;
mod context;
mod knob;
mod quantiser;

pub use choice::choose_levels;
pub use coder::{decode_levels, encode_levels};
pub use knob::Knob;
pub use quantiser::{LevelQuantiser, MAX_LEVEL, dequantise_levels, quantise_levels};
