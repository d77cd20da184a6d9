//! Every label of the protocol, in one place: no two steps hash or expand under the same one.

/// Start of the prologue (step 1).
pub(crate) const PROLOGUE: &[u8] = b"latentwire/1";
/// Hash of a public key for people to compare.
pub(crate) const FINGERPRINT: &[u8] = b"latentwire/1 fingerprint";
/// Hash of the open body: `ctx` (step 4).
pub(crate) const OPEN: &[u8] = b"latentwire/1 open";
/// Key commitment.
pub(crate) const COMMIT: &[u8] = b"latentwire/1 commit";
/// Tag over the source file's digest.
pub(crate) const CONTENT: &[u8] = b"latentwire/1 content";
/// Key of the Meta record.
pub(crate) const META: &[u8] = b"latentwire/1 meta";
/// Nonce prefix of the segments.
pub(crate) const NONCE: &[u8] = b"latentwire/1 nonce";
/// Row keys of the segments.
pub(crate) const ROW: &[u8] = b"latentwire/1 row";
/// Seed of the chaos layer.
pub(crate) const CHAOS: &[u8] = b"latentwire/1 chaos";
/// Tag over the digest of the segments that a receiver already holds.
pub(crate) const RESUME: &[u8] = b"latentwire/1 resume";
/// Tag over the digest of what the receiver stored.
pub(crate) const RECEIPT: &[u8] = b"latentwire/1 receipt";
/// Hash of a stored object's header: its `ctx` (step 10).
pub(crate) const OBJECT: &[u8] = b"latentwire/1 object";
/// Key that wraps one data key.
pub(crate) const WRAP: &[u8] = b"latentwire/1 wrap";
/// Key that seals one catalogue record.
pub(crate) const RECORD: &[u8] = b"latentwire/1 record";
/// Keyed hash for look-ups in the catalogue.
pub(crate) const LOOKUP: &[u8] = b"latentwire/1 lookup";
/// Public id of a storage key.
pub(crate) const STORAGE_KEY_ID: &[u8] = b"latentwire/1 storage key id";
