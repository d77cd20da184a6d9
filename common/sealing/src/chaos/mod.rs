//! The four-stage chaos cipher of Alqahtani 2024 (section 4), as an inner layer under AES-256-GCM.
//!
//! ```text
//! coded ─► 1 columns ─► 2 rows ─► 3 S-boxes ─► 4 seed matrix ─► ChaosBytes ─► padding ─► AES-256-GCM segments
//!          key 1        key 2     key 3         seed key
//! ```
//!
//! The paper takes the keys from a bare hash of the encoded image, so equal images give equal ciphertexts and whoever guesses
//! the image has the key. Here the seed is `Expand(prk, "latentwire/1 chaos" ‖ ctx ‖ SHA-256(coded), 32)`: fresh for
//! every attempt, and known to the two ends alone. Where the paper's text cannot be inverted or leaves a choice open,
//! `docs/adr/0001-chaos-cipher.md` says what was done and why.
//!
//! # Security
//! **No claim of its own.** Nothing is authenticated, tables are read at secret indices (not constant-time), and a reused key
//! gives permutation, tables and mask away to known plaintexts. [`ChaosBytes`] has no way out but through a
//! [`crate::SegmentSealer`]:
//!
//! ```compile_fail
//! fn leak(bytes: latentwire_sealing::ChaosBytes) -> Vec<u8> {
//!     bytes.0
//! }
//! ```
//!
//! ```compile_fail
//! fn leak(bytes: &latentwire_sealing::ChaosBytes) -> &[u8] {
//!     bytes.as_ref()
//! }
//! ```

mod logistic;
mod permutation;
mod sboxes;

use zeroize::{Zeroize, Zeroizing};

use self::logistic::LogisticMap;
use crate::transfer::TransferTags;

/// A coded image after the four stages; only segments can be made of it.
///
/// # Security
/// No accessor, no `Debug`, no `Clone`; wiped when dropped.
pub struct ChaosBytes(Zeroizing<Vec<u8>>);

impl ChaosBytes {
    /// Runs the four stages over a coded image, with keys that belong to this transfer and these bytes.
    ///
    /// `coded_sha256` is the SHA-256 of `coded`, as the Meta record carries it.
    #[must_use]
    pub fn scramble(coded: Vec<u8>, tags: &TransferTags, coded_sha256: &[u8; 32]) -> Self {
        let mut bytes = Zeroizing::new(coded);
        Keys::from_seed(&tags.chaos_seed(coded_sha256)).forward(&mut bytes);
        Self(bytes)
    }

    /// Number of bytes: that of the coded image.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True where there is nothing; a coded image is never empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Plaintext of a segment: bytes from `start` on, zeros after the end. For the sealer alone.
    pub(crate) fn segment(&self, start: usize, length: usize) -> Vec<u8> {
        let end = self.0.len().min(start.saturating_add(length));
        let mut segment = self.0.get(start..end).unwrap_or_default().to_vec();
        segment.resize(length, 0);
        segment
    }
}

/// Undoes the four stages in place: for [`crate::padding::unpad_chaos`], once every segment has authenticated.
pub(crate) fn unscramble(bytes: &mut [u8], tags: &TransferTags, coded_sha256: &[u8; 32]) {
    Keys::from_seed(&tags.chaos_seed(coded_sha256)).inverse(bytes);
}

/// The three secret keys and the key of the seed matrix: starting points of four maps.
struct Keys {
    columns: u64,
    rows: u64,
    boxes: u64,
    matrix: u64,
}

impl Keys {
    /// From 256 bits to x0: the seed is eight 32-bit words (big endian). The first, in the upper half of 64 bits whose
    /// highest low bit is set, starts a map, which then absorbs the other seven one after the other; its next values are the
    /// four keys.
    fn from_seed(seed: &[u8; 32]) -> Self {
        let mut words = seed.chunks_exact(4).map(|word| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(word);
            u32::from_be_bytes(bytes)
        });
        let first = words.next().expect("32 bytes hold eight words");
        let mut map = LogisticMap::new(u64::from(first) << 32 | 1 << 31);
        for word in words {
            map.absorb(word);
        }
        Self { columns: map.next_key(), rows: map.next_key(), boxes: map.next_key(), matrix: map.next_key() }
    }

    fn forward(&self, bytes: &mut [u8]) {
        let Some(fold) = Fold::of(bytes.len()) else { return };
        permutation::permute_columns(bytes, &self.column_order(fold));
        permutation::permute_rows(bytes, fold.width, &self.row_order(fold));
        self.substitute(bytes, &sboxes::BOXES);
        self.mask(bytes);
    }

    fn inverse(&self, bytes: &mut [u8]) {
        let Some(fold) = Fold::of(bytes.len()) else { return };
        self.mask(bytes);
        self.substitute(bytes, &sboxes::INVERSES);
        permutation::restore_rows(bytes, fold.width, &self.row_order(fold));
        permutation::restore_columns(bytes, &self.column_order(fold));
    }

    fn column_order(&self, fold: Fold) -> Vec<usize> {
        permutation::sorting(&mut LogisticMap::new(self.columns), fold.width)
    }

    fn row_order(&self, fold: Fold) -> Vec<usize> {
        permutation::sorting(&mut LogisticMap::new(self.rows), fold.full_rows)
    }

    /// Stage 3: `R[i, j] = S_k[P[i, j]]`, k a third of the range of the next value's middle, under key 3.
    fn substitute(&self, bytes: &mut [u8], boxes: &[[u8; 256]; 3]) {
        let mut map = LogisticMap::new(self.boxes);
        for byte in bytes {
            let third = (u64::from(map.next_middle()) * 3) >> 32;
            let k = usize::try_from(third).expect("below 3");
            *byte = boxes[k][usize::from(*byte)];
        }
    }

    /// Stage 4: `S[i, j] = R[i, j] ⊕ M[i, j]`; undoes itself.
    fn mask(&self, bytes: &mut [u8]) {
        let mut map = LogisticMap::new(self.matrix);
        for byte in bytes {
            *byte ^= map.next_byte();
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        for key in [&mut self.columns, &mut self.rows, &mut self.boxes, &mut self.matrix] {
            key.zeroize();
        }
    }
}

/// How a run of bytes is folded into the rows of a matrix.
#[derive(Clone, Copy)]
struct Fold {
    width: usize,
    full_rows: usize,
}

impl Fold {
    /// As square as possible: width ⌈√n⌉; the last row may be short. `None` for no bytes.
    fn of(length: usize) -> Option<Self> {
        let floor = length.isqrt();
        let width = if floor * floor == length { floor } else { floor + 1 };
        (width > 0).then(|| Self { width, full_rows: length / width })
    }
}

#[cfg(test)]
mod tests;
