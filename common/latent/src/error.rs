//! Why a latent could not be quantised, coded or decoded.

/// Why a latent could not be quantised, coded or decoded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LatentError {
    /// The tables belong to a latent with another number of channels.
    #[error("the entropy tables are for {tables} channels, the latent has {latent}")]
    ChannelMismatch {
        /// What the tables say.
        tables: u8,
        /// What the latent has.
        latent: u8,
    },
    /// The coded bytes are not what any encoder writes.
    #[error("the coded latent is corrupt at channel {channel}, row {row}, column {column}")]
    Corrupt {
        /// Channel of the symbol that could not be read.
        channel: u8,
        /// Row of the symbol that could not be read.
        row: u32,
        /// Column of the symbol that could not be read.
        column: u32,
    },
    /// A latent value is NaN or infinite.
    #[error("latent value {index} is not a finite number; the encoder net gave no usable result")]
    NotFinite {
        /// Index of the first such value.
        index: usize,
    },
    /// Lengths, channels and sides do not fit one another.
    #[error("the latent's shape is wrong: {problem}")]
    Shape {
        /// What does not fit.
        problem: String,
    },
    /// A quantised value is outside ±[`crate::MAX_SYMBOL`].
    #[error("quantised value {value} at index {index} is outside -32767..=32767")]
    SymbolRange {
        /// The value.
        value: i32,
        /// Its index.
        index: usize,
    },
    /// A quantiser step is zero, negative or not finite.
    #[error("the quantiser step of channel {channel} must be a positive finite number")]
    Step {
        /// The channel.
        channel: usize,
    },
    /// `tables.bin` is not sound.
    #[error("the entropy tables are not sound: {problem} (at byte {offset})")]
    Tables {
        /// What is wrong.
        problem: String,
        /// Where, from the file's start.
        offset: usize,
    },
    /// The latent is larger than can be coded, or larger than so few bytes can hold.
    #[error("{symbols} symbols are too many: at most {limit} here")]
    TooLarge {
        /// Number of symbols that the shape asks for.
        symbols: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// Bytes are left over after the last symbol.
    #[error("the coded latent has bytes left over after its last symbol")]
    TrailingData,
    /// The bytes end before the last symbol.
    #[error("the coded latent ends before its last symbol")]
    Truncated,
}
