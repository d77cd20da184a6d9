//! Application entity titles (PS3.5 section 6.2, VR AE): which are called here, who may call, and where each leads.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use thiserror::Error;

/// Longest title, characters.
const MAX_CHARACTERS: usize = 16;

/// An application entity title: 1 to 16 printable ASCII characters without backslash; spaces around it mean nothing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct AeTitle(String);

/// A called title and the destination of what is stored under it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The called title.
    pub title: AeTitle,
    /// Name of a receiver in the sender's configuration.
    pub destination: String,
}

/// Why a title or a route was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum TitleError {
    /// Not an application entity title.
    #[error("{text:?} is not an AE title: write 1 to 16 printable ASCII characters without a backslash")]
    Malformed {
        /// As given.
        text: String,
    },
    /// Not a route.
    #[error("{text:?} is not a route: write AETITLE=DESTINATION, for example CT_CLINIC_B=clinic-b")]
    Route {
        /// As given.
        text: String,
    },
    /// Two routes for one title.
    #[error(
        "AE title {title:?} has two destinations: give each called title one --route, and --ae-title none"
    )]
    Twice {
        /// The title.
        title: String,
    },
}

impl FromStr for AeTitle {
    type Err = TitleError;

    fn from_str(text: &str) -> Result<Self, TitleError> {
        let title = text.trim_matches(' ');
        let printable = title.bytes().all(|byte| (b' '..=b'~').contains(&byte) && byte != b'\\');
        if title.is_empty() || title.len() > MAX_CHARACTERS || !printable {
            return Err(TitleError::Malformed { text: text.to_owned() });
        }
        Ok(Self(title.to_owned()))
    }
}

impl FromStr for Route {
    type Err = TitleError;

    fn from_str(text: &str) -> Result<Self, TitleError> {
        // Titles may hold an equals sign, names of destinations do not.
        let (title, destination) = text
            .rsplit_once('=')
            .filter(|(_, destination)| !destination.trim().is_empty())
            .ok_or_else(|| TitleError::Route { text: text.to_owned() })?;
        Ok(Self { title: title.parse()?, destination: destination.trim().to_owned() })
    }
}

/// Who may call whom.
#[derive(Clone, Debug)]
pub struct Titles {
    called: BTreeMap<AeTitle, String>,
    calling: BTreeSet<AeTitle>,
}

impl Titles {
    /// `own` leads to `destination` (empty: the sender's only one), each route to its own; without `calling`, anyone may call.
    ///
    /// # Errors
    /// [`TitleError::Twice`] if a title leads to two places.
    pub fn new(
        own: &AeTitle,
        destination: &str,
        routes: &[Route],
        calling: &[AeTitle],
    ) -> Result<Self, TitleError> {
        let mut called = BTreeMap::from([(own.clone(), destination.to_owned())]);
        for route in routes {
            if called.insert(route.title.clone(), route.destination.clone()).is_some() {
                return Err(TitleError::Twice { title: route.title.0.clone() });
            }
        }
        Ok(Self { called, calling: calling.iter().cloned().collect() })
    }

    /// Where what is stored under this called title goes; `None` if nobody here is called so.
    #[must_use]
    pub fn destination(&self, called: &str) -> Option<&str> {
        self.called.get(&called.parse().ok()?).map(String::as_str)
    }

    /// Whether this title may call.
    #[must_use]
    pub fn may_call(&self, calling: &str) -> bool {
        self.calling.is_empty() || calling.parse().is_ok_and(|title| self.calling.contains(&title))
    }

    /// Every destination, once each.
    pub fn destinations(&self) -> impl Iterator<Item = &str> {
        self.called.values().map(String::as_str).collect::<BTreeSet<_>>().into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(text: &str) -> AeTitle {
        text.parse().expect("a title")
    }

    #[test]
    fn titles_are_told_from_what_is_none() {
        assert_eq!(title("  CT 1 "), AeTitle("CT 1".to_owned()));
        for text in ["", "   ", "SEVENTEEN_LETTERS", "A\\B", "A\nB", "MÜNCHEN"] {
            assert!(matches!(text.parse::<AeTitle>(), Err(TitleError::Malformed { .. })), "{text:?}");
        }
    }

    #[test]
    fn a_called_title_leads_to_its_destination() {
        let routes = ["CT=clinic-b".parse().expect("a route"), "A=B=clinic-c".parse().expect("a route")];
        let titles = Titles::new(&title("LATENTWIRE"), "", &routes, &[]).expect("no title twice");
        assert_eq!(titles.destination("LATENTWIRE"), Some(""));
        assert_eq!(titles.destination("CT "), Some("clinic-b"));
        assert_eq!(titles.destination("A=B"), Some("clinic-c"));
        for nobody in ["latentwire", "", "OTHER"] {
            assert_eq!(titles.destination(nobody), None);
        }
        assert!(titles.may_call("ANYONE") && titles.may_call(""));
        assert_eq!(titles.destinations().collect::<Vec<_>>(), ["", "clinic-b", "clinic-c"]);
    }

    #[test]
    fn where_callers_are_named_no_other_may_call() {
        let titles = Titles::new(&title("GATE"), "b", &[], &[title("CT1")]).expect("no title twice");
        assert!(titles.may_call("CT1"));
        assert!(!titles.may_call("CT2") && !titles.may_call(""));
    }

    #[test]
    fn a_title_with_two_destinations_is_refused() {
        let route = |text: &str| text.parse::<Route>();
        for text in ["CT", "CT=", "CT= "] {
            assert!(matches!(route(text), Err(TitleError::Route { .. })), "{text:?}");
        }
        let routes = [route("GATE=b").expect("a route")];
        let twice = Titles::new(&title("GATE"), "", &routes, &[]).map(|_| ());
        assert_eq!(twice, Err(TitleError::Twice { title: "GATE".to_owned() }));
    }
}
