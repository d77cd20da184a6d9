//! What serves research rather than a hospital: refused unless it is allowed by name.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// Something of the two papers that a hospital has no use for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Research {
    /// The four chaos stages of Alqahtani 2024 below AES-256-GCM.
    Chaos4,
    /// Models whose purpose is not `product`.
    Models,
    /// One segment a row of the raw latent, as in Alslman 2022.
    Rows,
}

impl Research {
    /// Everything there is.
    pub const ALL: [Self; 3] = [Self::Chaos4, Self::Models, Self::Rows];

    /// `chaos4`, `models` or `rows`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Chaos4 => "chaos4",
            Self::Models => "models",
            Self::Rows => "rows",
        }
    }
}

/// What a service allows of [`Research`]; nothing unless said.
///
/// Reads from a list as in `chaos4,rows`; `none`, or nothing at all, is the empty one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedResearch(BTreeSet<Research>);

impl AllowedResearch {
    /// Whether this is allowed.
    #[must_use]
    pub fn allows(&self, what: Research) -> bool {
        self.0.contains(&what)
    }

    /// True where nothing is allowed, as a hospital wants it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<Research> for AllowedResearch {
    fn from_iter<I: IntoIterator<Item = Research>>(allowed: I) -> Self {
        Self(allowed.into_iter().collect())
    }
}

impl FromStr for AllowedResearch {
    type Err = UnknownResearch;

    fn from_str(list: &str) -> Result<Self, Self::Err> {
        if matches!(list.trim(), "" | "none") {
            return Ok(Self::default());
        }
        list.split(',').map(|word| find(word.trim())).collect()
    }
}

impl fmt::Display for AllowedResearch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("none");
        }
        let names: Vec<&str> = self.0.iter().map(|what| what.name()).collect();
        f.write_str(&names.join(","))
    }
}

/// A word that is none of [`Research`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is none of chaos4, models, rows: give a list of these with commas between, or none")]
pub struct UnknownResearch(String);

fn find(word: &str) -> Result<Research, UnknownResearch> {
    let found = Research::ALL.into_iter().find(|what| what.name() == word);
    found.ok_or_else(|| UnknownResearch(word.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_allows_what_it_names_and_nothing_else() {
        let allowed: AllowedResearch = "rows, chaos4".parse().expect("a list");
        assert!(allowed.allows(Research::Chaos4) && allowed.allows(Research::Rows));
        assert!(!allowed.allows(Research::Models));
        assert_eq!(allowed.to_string(), "chaos4,rows");
        assert_eq!(allowed.to_string().parse(), Ok(allowed));
        assert_eq!("chaos4,models,rows".parse(), Ok(AllowedResearch::from_iter(Research::ALL)));
    }

    #[test]
    fn nothing_is_allowed_unless_said() {
        for text in ["", " ", "none"] {
            let allowed: AllowedResearch = text.parse().expect("an empty list");
            assert!(allowed.is_empty() && allowed == AllowedResearch::default(), "{text:?}");
            assert!(Research::ALL.into_iter().all(|what| !allowed.allows(what)));
            assert_eq!(allowed.to_string(), "none");
        }
    }

    #[test]
    fn a_word_that_is_none_of_them_is_named() {
        for (list, word) in [
            ("chaos", "chaos"),
            ("chaos4,", ""),
            ("none,rows", "none"),
            ("rows;models", "rows;models"),
            ("Rows", "Rows"),
        ] {
            assert_eq!(list.parse::<AllowedResearch>(), Err(UnknownResearch(word.to_owned())), "{list}");
        }
    }
}
