//! `tables.bin`: the entropy coder's context model and probabilities, as integers.
//!
//! Version 1 serves latents of uniform quantisation, version 2 latents with block levels. Normative text:
//! `docs/BITSTREAM.md`.

mod levels;
mod reader;
mod uniform;

pub(crate) use levels::{LevelChannel, LevelModel};
pub(crate) use uniform::Channel;

use crate::error::LatentError;
use crate::probability::{Distribution, DistributionStore};
use reader::Reader;

/// Fractional positions of the mean that have tables of their own.
pub(crate) const FRACTIONS: usize = 8;
/// How far a tap may reach, in rows and in columns.
pub(crate) const REACH: i8 = 2;

/// Entropy tables of one model: the context model and the probabilities, all integers.
#[derive(Clone, Debug)]
pub struct Tables {
    model: Model,
    distributions: DistributionStore,
}

/// What selects the distribution of a value.
#[derive(Clone, Debug)]
enum Model {
    /// Version 1, a channel each.
    Uniform(Vec<Channel>),
    /// Version 2.
    Levels(LevelModel),
}

/// A neighbour that has a say: `weight` is Q16.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tap<W> {
    pub(crate) channel: u8,
    pub(crate) dy: i8,
    pub(crate) dx: i8,
    pub(crate) weight: W,
}

impl Tables {
    /// Reads and validates a `tables.bin`, version 1 or 2.
    ///
    /// Taps must be causal, within reach, and not repeated; each table's probabilities must sum to 2^16. Memory is
    /// bounded by a small multiple of `bytes.len()`.
    ///
    /// # Errors
    /// [`LatentError::Tables`].
    pub fn parse(bytes: &[u8]) -> Result<Self, LatentError> {
        let mut reader = Reader::new(bytes);
        if reader.take::<4>()? != *b"LWTB" {
            return Err(reader.error("it does not begin with LWTB"));
        }
        let mut distributions = DistributionStore::default();
        let model = match reader.u8()? {
            1 => Model::Uniform(uniform::read(&mut reader, &mut distributions)?),
            2 => Model::Levels(levels::read(&mut reader, &mut distributions)?),
            other => {
                let problem = format!("its version is {other}, this program reads versions 1 and 2");
                return Err(reader.error(problem));
            }
        };
        reader.finish()?;
        Ok(Self { model, distributions })
    }

    /// Number of channels that the tables are for: 1 to 16 without block levels, 1 to 255 with.
    pub fn channels(&self) -> u8 {
        match &self.model {
            Model::Uniform(channels) => channels.len() as u8,
            Model::Levels(model) => model.channels.len() as u8,
        }
    }

    /// Whether the tables are for latents with block levels (version 2), or of uniform quantisation (version 1).
    pub fn has_levels(&self) -> bool {
        matches!(self.model, Model::Levels(_))
    }

    pub(crate) fn uniform(&self) -> Result<&[Channel], LatentError> {
        match &self.model {
            Model::Uniform(channels) => Ok(channels),
            Model::Levels(_) => Err(LatentError::TablesKind {
                problem: "the entropy tables are for a latent with block levels, this one has none",
            }),
        }
    }

    pub(crate) fn levels(&self) -> Result<&LevelModel, LatentError> {
        match &self.model {
            Model::Levels(model) => Ok(model),
            Model::Uniform(_) => Err(LatentError::TablesKind {
                problem: "the entropy tables are for a latent of uniform quantisation, this one has block levels",
            }),
        }
    }

    /// A distribution of residuals, by its place in the file.
    #[inline]
    pub(crate) fn distribution(&self, index: usize) -> Distribution<'_> {
        self.distributions.get(index)
    }

    /// Largest probability of any symbol, in 1/65536; less than 65536.
    pub(crate) fn largest_probability(&self) -> u32 {
        self.distributions.largest_probability()
    }
}
