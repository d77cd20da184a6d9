//! What a model is for, beyond the kind of picture it was trained on.

use std::fmt;

use serde::Deserialize;

/// What a model is for.
///
/// It stands in `decode.toml`, so the decoder digest binds it: nobody can pass a research model off as a product's.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Purpose {
    /// It changes pictures on purpose, to take noise away: what it gives is no copy of what was sent.
    Denoising,
    /// For pictures that people look at (the default).
    #[default]
    Product,
    /// To try a paper's claims.
    Research,
}

impl Purpose {
    /// All of them, in the order of their declaration.
    pub const ALL: [Self; 3] = [Self::Denoising, Self::Product, Self::Research];

    /// The name used in `decode.toml`, lists and tables: `denoising`, `product` or `research`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Denoising => "denoising",
            Self::Product => "product",
            Self::Research => "research",
        }
    }

    /// Whether such a model may be used only where somebody asks for it by its id and both ends allow it.
    pub fn is_by_request_only(self) -> bool {
        self != Self::Product
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
