//! From the session to the keys of one transfer (step 4): HKDF-SHA256 (RFC 5869), each step a type of its own.
//!
//! ```text
//! open_body ──SHA-256──► Context ─────────────┐
//! h (salt), ss_pq ‖ image_secret ──Extract──► Prk ──Expand(label ‖ ctx ‖ …)──► keys, prefix, commitment, tags
//! ```

use hkdf::{Hkdf, HkdfExtract};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::labels;

/// `ctx`: what a transfer's keys, tags and associated data are bound to. Public.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Context(pub(crate) [u8; 32]);

impl Context {
    /// `SHA-256("latentwire/1 open" ‖ open_body)`, over the bytes as received.
    #[must_use]
    pub fn of_open_body(open_body: &[u8]) -> Self {
        Self(Sha256::new().chain_update(labels::OPEN).chain_update(open_body).finalize().into())
    }

    /// `SHA-256("latentwire/1 object" ‖ header)`, for objects at rest.
    #[must_use]
    pub fn of_object_header(header: &[u8]) -> Self {
        Self(Sha256::new().chain_update(labels::OBJECT).chain_update(header).finalize().into())
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// `prk`: the one secret of a transfer, from which everything else expands.
///
/// # Security
/// Wiped when dropped; no `Debug`, no `Clone` outside this crate.
pub struct Prk(Zeroizing<[u8; 32]>);

impl Prk {
    /// `Extract(salt, ikm[0] ‖ ikm[1] ‖ …)` (RFC 5869, section 2.2).
    #[must_use]
    pub fn extract(salt: &[u8], ikm: &[&[u8]]) -> Self {
        let mut extract = HkdfExtract::<Sha256>::new(Some(salt));
        for part in ikm {
            extract.input_ikm(part);
        }
        let (mut output, _) = extract.finalize();
        let mut prk = Zeroizing::new([0_u8; 32]);
        prk.copy_from_slice(&output);
        zeroize::Zeroize::zeroize(output.as_mut_slice());
        Self(prk)
    }

    /// Binds the secret to a context.
    #[must_use]
    pub fn bind(self, context: Context) -> TransferKeys {
        TransferKeys { prk: self, context }
    }
}

/// `prk` with its `ctx`: expands every key, prefix and tag of one transfer or object.
///
/// # Security
/// Wiped when dropped; no `Debug`, no `Clone` outside this crate.
pub struct TransferKeys {
    prk: Prk,
    context: Context,
}

impl TransferKeys {
    /// The context that everything is bound to; also the associated data of Meta and segments.
    #[must_use]
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// `Expand(prk, "latentwire/1 commit" ‖ ctx, 32)`.
    #[must_use]
    pub fn commitment(&self) -> [u8; 32] {
        *self.expand(labels::COMMIT, &[])
    }

    /// Compares a commitment in constant time.
    #[must_use]
    pub fn commits_to(&self, commitment: &[u8]) -> bool {
        self.commitment().ct_eq(commitment).into()
    }

    /// `Expand(prk, "latentwire/1 content" ‖ ctx ‖ SHA-256(source file), 32)`.
    #[must_use]
    pub fn content_tag(&self, source_sha256: &[u8; 32]) -> [u8; 32] {
        *self.expand(labels::CONTENT, source_sha256)
    }

    /// `Expand(prk, "latentwire/1 meta" ‖ ctx, 32)`.
    #[must_use]
    pub fn meta_key(&self) -> Zeroizing<[u8; 32]> {
        self.expand(labels::META, &[])
    }

    /// `Expand(prk, "latentwire/1 nonce" ‖ ctx, 7)`.
    #[must_use]
    pub fn nonce_prefix(&self) -> [u8; 7] {
        *self.expand(labels::NONCE, &[])
    }

    /// `row[j] = Expand(prk, "latentwire/1 row" ‖ ctx ‖ u8(j), 32)`: one of the 256 keys of Alslman 2022.
    #[must_use]
    pub fn row_key(&self, row: u8) -> Zeroizing<[u8; 32]> {
        self.expand(labels::ROW, &[row])
    }

    /// `Expand(prk, "latentwire/1 chaos" ‖ ctx ‖ SHA-256(coded), 32)`.
    #[must_use]
    pub fn chaos_seed(&self, coded_sha256: &[u8; 32]) -> Zeroizing<[u8; 32]> {
        self.expand(labels::CHAOS, coded_sha256)
    }

    /// `Expand(prk, "latentwire/1 resume" ‖ ctx ‖ SHA-256(plaintext of the first resume_index segments), 32)`.
    #[must_use]
    pub fn resume_tag(&self, prefix_sha256: &[u8; 32]) -> [u8; 32] {
        *self.expand(labels::RESUME, prefix_sha256)
    }

    /// `Expand(prk, "latentwire/1 receipt" ‖ ctx ‖ SHA-256(coded as stored), 32)`.
    #[must_use]
    pub fn receipt_tag(&self, stored_sha256: &[u8; 32]) -> [u8; 32] {
        *self.expand(labels::RECEIPT, stored_sha256)
    }

    /// A second handle for the part that seals or opens beside the part that makes tags.
    pub(crate) fn share(&self) -> Self {
        Self { prk: Prk(self.prk.0.clone()), context: self.context }
    }

    fn expand<const N: usize>(&self, label: &[u8], suffix: &[u8]) -> Zeroizing<[u8; N]> {
        let mut okm = Zeroizing::new([0_u8; N]);
        Hkdf::<Sha256>::from_prk(self.prk.0.as_slice())
            .expect("32 bytes are a whole SHA-256 output")
            .expand_multi_info(&[label, &self.context.0, suffix], okm.as_mut_slice())
            .expect("7 or 32 bytes are below HKDF's limit");
        okm
    }
}
