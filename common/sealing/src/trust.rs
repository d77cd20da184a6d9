//! The trust store: who may talk to us, as a TOML text. Pinned keys, no trust on first use.
//!
//! ```toml
//! [[peer]]
//! name = "st-elsewhere"
//! public_key = "latentwire-public-key-1…"
//! role = "sender"
//! not_before = 2026-11-01T00:00:00Z   # optional, like all that follow
//! not_after = 2027-11-01T00:00:00Z
//! revoked_at = 2027-01-01T00:00:00Z
//! allowed_models = ["rd-fundus"]      # absent: all
//! allowed_forms = ["latent", "exact"] # absent: all
//! max_bytes = 1_000_000_000           # stored for this peer name; absent: no quota
//! ```

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

use crate::error::{CryptoError, PeerRefusal};
use crate::identity::{PublicKey, Role};
use crate::open_body::Form;

/// Keys of one peer name that may be live (not marked revoked) at once, so that a key can be rotated.
pub const MAX_LIVE_KEYS: usize = 2;
/// Most entries of a store.
pub const MAX_ENTRIES: usize = 10_000;

/// One key of one peer, and what it may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustEntry {
    /// Name of the peer: 1..=63 of `a-z`, `0-9`, `-`, `.`, `_`, first a letter or digit. Scope of transfer ids.
    pub name: String,
    /// The pinned key; its role is the entry's role.
    pub key: PublicKey,
    /// Not valid before this moment.
    pub not_before: Option<OffsetDateTime>,
    /// Not valid from this moment on.
    pub not_after: Option<OffsetDateTime>,
    /// Revoked from this moment on.
    pub revoked_at: Option<OffsetDateTime>,
    /// Model ids that the peer may use; `None`: all.
    pub allowed_models: Option<Vec<String>>,
    /// Forms that the peer may send; `None`: all.
    pub allowed_forms: Option<Vec<Form>>,
    /// Most bytes that are stored for this peer name; `None`: no quota.
    pub max_bytes: Option<u64>,
}

impl TrustEntry {
    /// An entry without any restriction.
    #[must_use]
    pub fn new(name: impl Into<String>, key: PublicKey) -> Self {
        Self {
            name: name.into(),
            key,
            not_before: None,
            not_after: None,
            revoked_at: None,
            allowed_models: None,
            allowed_forms: None,
            max_bytes: None,
        }
    }

    /// Whether the peer may use a model.
    #[must_use]
    pub fn allows_model(&self, id: &str) -> bool {
        self.allowed_models.as_ref().is_none_or(|models| models.iter().any(|model| model == id))
    }

    /// Whether the peer may send a form.
    #[must_use]
    pub fn allows_form(&self, form: Form) -> bool {
        self.allowed_forms.as_ref().is_none_or(|forms| forms.contains(&form))
    }

    /// What the entry's dates say now: the one rule that admits sessions, for whoever shows a store too.
    #[must_use]
    pub fn standing(&self, now: OffsetDateTime) -> Standing {
        if self.revoked_at.is_some_and(|at| now >= at) {
            Standing::Revoked
        } else if self.not_before.is_some_and(|from| now < from) {
            Standing::NotYetValid
        } else if self.not_after.is_some_and(|until| now >= until) {
            Standing::Expired
        } else {
            Standing::Live
        }
    }

    fn refusal(&self, role: Role, now: OffsetDateTime) -> Option<PeerRefusal> {
        if self.key.role() != role {
            return Some(PeerRefusal::Role);
        }
        match self.standing(now) {
            Standing::Live => None,
            Standing::NotYetValid => Some(PeerRefusal::NotYetValid),
            Standing::Expired => Some(PeerRefusal::Expired),
            Standing::Revoked => Some(PeerRefusal::Revoked),
        }
    }
}

/// Where an entry stands in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Admitted now.
    Live,
    /// Its first moment is still to come.
    NotYetValid,
    /// Its last moment is over.
    Expired,
    /// Taken back.
    Revoked,
}

/// All pinned peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustStore {
    entries: Vec<TrustEntry>,
}

impl TrustStore {
    /// Reads a store; unknown fields, doubtful values and repeated keys are refused.
    ///
    /// # Errors
    /// [`CryptoError::TrustStore`], naming the peer and the field.
    pub fn parse(text: &str) -> Result<Self, CryptoError> {
        let file: StoreFile = toml::from_str(text).map_err(|error| {
            // The error's Display quotes the line, and a secret key may have been pasted there: name the line instead.
            let line = error.span().map_or(0, |span| 1 + text[..span.start].matches('\n').count());
            CryptoError::TrustStore(format!("line {line}: {}", error.message()))
        })?;
        let mut store = Self::default();
        for peer in file.peer {
            store.add(peer.into_entry()?)?;
        }
        Ok(store)
    }

    /// The store as TOML, which [`TrustStore::parse`] reads back.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let file = StoreFile { peer: self.entries.iter().map(PeerFile::of_entry).collect() };
        toml::to_string(&file).expect("strings, integers and dates are all TOML")
    }

    /// All entries, in order.
    #[must_use]
    pub fn entries(&self) -> &[TrustEntry] {
        &self.entries
    }

    /// Entries of one peer name.
    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a TrustEntry> {
        self.entries.iter().filter(move |entry| entry.name == name)
    }

    /// Adds a key.
    ///
    /// # Errors
    /// [`CryptoError::TrustStore`] for a bad name, a key that is already there (under any name or role), a second role
    /// under one name, an empty validity, a quota beyond 2^63 − 1, or a third live key of one name.
    pub fn add(&mut self, mut entry: TrustEntry) -> Result<(), CryptoError> {
        for moment in [&mut entry.not_before, &mut entry.not_after, &mut entry.revoked_at] {
            *moment = moment.map(whole_second_utc);
        }
        let refuse = |why: String| Err(CryptoError::TrustStore(format!("peer {:?}: {why}", entry.name)));
        if !is_peer_name(&entry.name) {
            return refuse(
                "a name has 1 to 63 of a-z, 0-9, '-', '.', '_' and starts with a letter or digit".into(),
            );
        }
        if self.entries.len() >= MAX_ENTRIES {
            return refuse(format!("a store holds at most {MAX_ENTRIES} entries"));
        }
        if let Some(same) = self.entries.iter().find(|other| other.key.as_bytes() == entry.key.as_bytes()) {
            return refuse(format!("its key is already pinned for peer {:?}", same.name));
        }
        if self.named(&entry.name).any(|other| other.key.role() != entry.key.role()) {
            return refuse("all keys of one name have one role".into());
        }
        if entry.max_bytes.is_some_and(|bytes| i64::try_from(bytes).is_err()) {
            return refuse("max_bytes is beyond 2^63 - 1".into());
        }
        if let (Some(from), Some(until)) = (entry.not_before, entry.not_after)
            && from >= until
        {
            return refuse("not_before is not before not_after".into());
        }
        let live = self.named(&entry.name).filter(|other| other.revoked_at.is_none()).count();
        if entry.revoked_at.is_none() && live >= MAX_LIVE_KEYS {
            return refuse(format!(
                "{MAX_LIVE_KEYS} of its keys are live already; revoke or remove one first"
            ));
        }
        self.entries.push(entry);
        Ok(())
    }

    /// Removes every key of a peer name; gives how many there were.
    pub fn remove(&mut self, name: &str) -> usize {
        let before = self.entries.len();
        self.entries.retain(|entry| entry.name != name);
        before - self.entries.len()
    }

    /// Removes one key; gives the entry that it had.
    pub fn remove_key(&mut self, key: &PublicKey) -> Option<TrustEntry> {
        let place = self.entries.iter().position(|entry| entry.key == *key)?;
        Some(self.entries.remove(place))
    }

    /// Revokes every key of a peer name from this moment on; gives how many that changed.
    ///
    /// A revocation is brought forward, never put off.
    pub fn revoke(&mut self, name: &str, at: OffsetDateTime) -> usize {
        self.revoke_where(at, |entry| entry.name == name)
    }

    /// Revokes one key from this moment on, as at the end of its rotation; false if that changed nothing.
    pub fn revoke_key(&mut self, key: &PublicKey, at: OffsetDateTime) -> bool {
        self.revoke_where(at, |entry| entry.key == *key) > 0
    }

    fn revoke_where(&mut self, at: OffsetDateTime, chosen: impl Fn(&TrustEntry) -> bool) -> usize {
        let at = whole_second_utc(at);
        let later = |entry: &TrustEntry| entry.revoked_at.is_none_or(|revoked| revoked > at);
        let entries = self.entries.iter_mut().filter(|entry| chosen(entry) && later(entry));
        entries.map(|entry| entry.revoked_at = Some(at)).count()
    }

    /// Whether a key may act in a role now; gives its entry.
    ///
    /// # Errors
    /// [`CryptoError::PeerNotAllowed`], precise in its refusal, PEER_NOT_ALLOWED on the wire.
    pub fn check(
        &self,
        key: &PublicKey,
        role: Role,
        now: OffsetDateTime,
    ) -> Result<&TrustEntry, CryptoError> {
        let refuse = |why| CryptoError::PeerNotAllowed { fingerprint: key.fingerprint(), why };
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.key.as_bytes() == key.as_bytes())
            .ok_or_else(|| refuse(PeerRefusal::Unknown))?;
        match entry.refusal(role, now) {
            None => Ok(entry),
            Some(why) => Err(refuse(why)),
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoreFile {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    peer: Vec<PeerFile>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct PeerFile {
    name: String,
    public_key: String,
    role: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_before: Option<toml::value::Datetime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_after: Option<toml::value::Datetime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    revoked_at: Option<toml::value::Datetime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_models: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_forms: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_bytes: Option<u64>,
}

impl PeerFile {
    fn into_entry(self) -> Result<TrustEntry, CryptoError> {
        let name = self.name;
        let refuse = |why: String| CryptoError::TrustStore(format!("peer {name:?}: {why}"));
        let key =
            PublicKey::from_text(&self.public_key).map_err(|error| refuse(format!("public_key: {error}")))?;
        let role: Role =
            self.role.parse().map_err(|_| refuse("role: must be \"sender\" or \"receiver\"".into()))?;
        if role != key.role() {
            return Err(refuse(format!("role: the key is a {}'s, the entry says {role}", key.role())));
        }
        let moment = |field: &str, value: Option<toml::value::Datetime>| {
            value
                .map(|value| parse_moment(&value))
                .transpose()
                .map_err(|why| refuse(format!("{field}: {why}")))
        };
        let form = |text: &String| {
            Form::from_name(text)
                .ok_or_else(|| refuse("allowed_forms: must be \"latent\", \"exact\" or \"bounded\"".into()))
        };
        Ok(TrustEntry {
            key,
            not_before: moment("not_before", self.not_before)?,
            not_after: moment("not_after", self.not_after)?,
            revoked_at: moment("revoked_at", self.revoked_at)?,
            allowed_models: self.allowed_models,
            allowed_forms: self
                .allowed_forms
                .map(|forms| forms.iter().map(form).collect::<Result<_, _>>())
                .transpose()?,
            max_bytes: self.max_bytes,
            name,
        })
    }

    fn of_entry(entry: &TrustEntry) -> Self {
        Self {
            name: entry.name.clone(),
            public_key: entry.key.to_string(),
            role: entry.key.role().name().to_owned(),
            not_before: entry.not_before.map(moment_to_toml),
            not_after: entry.not_after.map(moment_to_toml),
            revoked_at: entry.revoked_at.map(moment_to_toml),
            allowed_models: entry.allowed_models.clone(),
            allowed_forms: entry
                .allowed_forms
                .as_ref()
                .map(|forms| forms.iter().map(|form| form.name().to_owned()).collect()),
            max_bytes: entry.max_bytes,
        }
    }
}

fn is_peer_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (1..=63).contains(&name.len())
        && name.bytes().next().is_some_and(allowed)
        && name.bytes().all(|byte| allowed(byte) || matches!(byte, b'-' | b'.' | b'_'))
}

fn parse_moment(value: &toml::value::Datetime) -> Result<OffsetDateTime, String> {
    OffsetDateTime::parse(&value.to_string(), &time::format_description::well_known::Rfc3339)
        .map_err(|_| format!("{value} is no moment; write it with an offset, as 2026-11-21T00:00:00Z"))
}

/// The moment as a TOML text can hold it: in UTC, whole seconds, years 1970 to 9999.
fn whole_second_utc(moment: OffsetDateTime) -> OffsetDateTime {
    let seconds = moment.unix_timestamp().clamp(0, 253_402_300_799);
    OffsetDateTime::from_unix_timestamp(seconds).expect("1970 to 9999 is within range")
}

/// `utc` comes from [`whole_second_utc`].
fn moment_to_toml(utc: OffsetDateTime) -> toml::value::Datetime {
    let text = format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        utc.year(),
        u8::from(utc.month()),
        utc.day(),
        utc.hour(),
        utc.minute(),
        utc.second()
    );
    text.parse().expect("an RFC 3339 moment in UTC is a TOML date-time")
}
