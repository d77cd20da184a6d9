//! Why a latent could not be quantised, coded or decoded.

/// Why a latent could not be quantised, coded or decoded.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LatentError {
    /// A base step of a model with block levels is out of range.
    #[error("the base step of channel {channel} is {step}; 1 to 2^28 expected, and 1 for channel 0")]
    BaseStep {
        /// The channel.
        channel: usize,
        /// Its base step.
        step: u32,
    },
    /// The tables belong to a latent with another number of channels.
    #[error("the entropy tables are for {tables} channels, the latent has {latent}")]
    ChannelMismatch {
        /// What the tables say.
        tables: u8,
        /// What the latent has.
        latent: u8,
    },
    /// A tile says that it codes more channels than there are, or than hold a value.
    #[error("the coded latent names {found} coded channels; {problem}")]
    CodedChannels {
        /// What the tile says.
        found: u16,
        /// Why that cannot be.
        problem: &'static str,
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
    /// The encoder's dead zone is out of range.
    #[error("the encoder's dead zone must be a number from 0 to 0.5")]
    DeadZone,
    /// The encoder's weight of errors is out of range.
    #[error("the encoder's weight of errors must be a number above 0 and at most 1000000")]
    ErrorWeight,
    /// A block's level is out of range.
    #[error("the level of block {index} is {value}, 0 to 31 expected")]
    Level {
        /// The level.
        value: i32,
        /// The block, row by row.
        index: usize,
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
    /// The entropy tables are of the other kind: with block levels, or without.
    #[error("{problem}")]
    TablesKind {
        /// Which was found and which is needed.
        problem: &'static str,
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
