//! The start-up check: whether a certified decoder gives here what it gave where it was certified.
//!
//! A model's `decode.toml` names a seed and two sides, and the SHA-256 of what the decoder gives for the latent that
//! they make. Nothing of that latent depends on the machine:
//!
//! ```text
//! SplitMix64 (Steele, Lea, Flood 2014), state = seed; for each value:
//!   state += 0x9E3779B97F4A7C15
//!   z = (state ^ state >> 30) · 0xBF58476D1CE4E5B9
//!   z = (z ^ z >> 27) · 0x94D049BB133111EB
//!   z = z ^ z >> 31                                           (all modulo 2^64)
//! values in the order of the tensor [channels, height, width]:
//!   channel 0:  4 · (z >> 59)                                 t of a level 0..=31, at knob 0
//!   others:     ((z >> 32) mod 4001 - 2000) / 2^(z mod 16)    k, the quotient truncated towards zero
//! ```
//!
//! so that coefficients of every size up to ±2000 occur, most of them small, as in a picture's latent.

use latentwire_model::CheckSpec;
use sha2::{Digest, Sha256};

use crate::error::InferenceError;
use crate::net::{DecoderNet, LatentTensor};

impl DecoderNet {
    /// Whether the decoder gives here what the model's `decode.toml` says that it gives for its fixed latent.
    ///
    /// # Errors
    /// [`InferenceError::Run`], [`InferenceError::Shape`].
    pub fn gives_what_it_should(&self, check: &CheckSpec) -> Result<bool, InferenceError> {
        let latent = fixed_latent(check.seed, self.latent_channels(), check.height, check.width);
        Ok(self.output_sha256(&latent)? == check.sha256.0)
    }

    /// SHA-256 of the decoder's output for a latent, run in one piece: its values, little endian, in the tensor's order.
    ///
    /// # Errors
    /// [`InferenceError::Run`], [`InferenceError::Shape`].
    pub fn output_sha256(&self, latent: &LatentTensor) -> Result<[u8; 32], InferenceError> {
        self.run_whole(latent, |bytes| Sha256::digest(bytes).into())
    }
}

/// The latent that a seed makes.
pub fn fixed_latent(seed: u64, channels: u8, height: u32, width: u32) -> LatentTensor {
    let plane = height as usize * width as usize;
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (state ^ state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    };
    let value = |index| {
        let z = next();
        match index < plane {
            true => (4 * (z >> 59)) as f32,
            false => (((z >> 32) % 4001) as i32 - 2000).wrapping_div(1 << (z % 16)) as f32,
        }
    };
    let values = (0..usize::from(channels) * plane).map(value).collect();
    LatentTensor { channels, height, width, values }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_the_published_one() {
        // The first numbers of SplitMix64 from 1234567 (Vigna's splitmix64.c) begin 6457827717110365317, 3203168211198807973.
        let latent = fixed_latent(1_234_567, 2, 1, 1);
        assert_eq!(latent.values[0], (4 * (6_457_827_717_110_365_317_u64 >> 59)) as f32);
        let z = 3_203_168_211_198_807_973_u64;
        let k = ((z >> 32) % 4001) as i32 - 2000;
        assert_eq!(latent.values[1], (k / (1 << (z % 16))) as f32);
    }

    #[test]
    fn values_are_those_of_a_latent_and_of_every_size() {
        let latent = fixed_latent(1, 9, 8, 12);
        let (levels, coefficients) = latent.values.split_at(96);
        assert!(levels.iter().all(|t| (0.0..=124.0).contains(t) && t % 4.0 == 0.0));
        assert!(coefficients.iter().all(|k| k.abs() <= 2000.0 && k.fract() == 0.0));
        for (least, most) in [(0.0, 0.0), (1.0, 3.0), (30.0, 100.0), (1000.0, 2000.0)] {
            let there = coefficients.iter().filter(|k| (least..=most).contains(&k.abs())).count();
            assert!(there > 10, "{least}..={most}: {there}");
        }
        assert_ne!(latent, fixed_latent(2, 9, 8, 12));
    }
}
