//! What kind of picture a model was trained for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, de};

use crate::error::{ModelError, excerpt};

/// What kind of picture a model was trained for, or a request says it holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Modality {
    /// Colour photographs of the retina.
    Fundus,
    /// Chest X-rays.
    Chest,
    /// Magnetic resonance slices of the brain.
    Brain,
    /// Anything else.
    Other,
}

impl Modality {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Fundus, Self::Chest, Self::Brain, Self::Other];

    /// The fixed name: `fundus`, `chest`, `brain` or `other`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fundus => "fundus",
            Self::Chest => "chest",
            Self::Brain => "brain",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Modality {
    type Err = ModelError;

    /// Reads a fixed name, or the name of a data folder (`chest_xray`, `brain_mri`).
    fn from_str(text: &str) -> Result<Self, ModelError> {
        match text {
            "fundus" => Ok(Self::Fundus),
            "chest" | "chest_xray" => Ok(Self::Chest),
            "brain" | "brain_mri" => Ok(Self::Brain),
            "other" => Ok(Self::Other),
            _ => Err(ModelError::UnknownModality { found: excerpt(text) }),
        }
    }
}

impl<'de> Deserialize<'de> for Modality {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_round_trip_and_data_folders_map() {
        for modality in Modality::ALL {
            assert_eq!(modality.to_string().parse::<Modality>().unwrap(), modality);
        }
        assert_eq!("chest_xray".parse::<Modality>().unwrap(), Modality::Chest);
        assert_eq!("brain_mri".parse::<Modality>().unwrap(), Modality::Brain);
    }

    #[test]
    fn unknown_names_are_refused() {
        for text in ["", "Fundus", "mri", " chest"] {
            assert!(matches!(text.parse::<Modality>(), Err(ModelError::UnknownModality { .. })), "{text}");
        }
    }
}
