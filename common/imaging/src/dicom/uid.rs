//! SOP Instance UIDs of what a lossy step makes.

use dicom_dictionary_std::tags;
use sha2::{Digest, Sha256};

use super::data_set::{DataSet, Encoding};
use crate::container;

/// `2.25.` and a version-8 UUID (RFC 9562 section 5.8, PS3.5 annex B.2) as a decimal number: the same image through the same
/// decoder is the same new instance, whoever makes it and however often.
pub(crate) fn derived_sop_instance_uid(
    container: &[u8],
    decoder_digest: &[u8; 32],
    source_sha256: &[u8; 32],
) -> Option<String> {
    let (_, payload) = container::unpack(container).ok()?;
    let data_set = DataSet::parse(&payload, Encoding::ExplicitLittle).ok()?;
    let source = data_set.text(tags::SOP_INSTANCE_UID).unwrap_or_default();
    Some(derive_uid(source, decoder_digest, source_sha256))
}

pub(super) fn derive_uid(source: &str, decoder_digest: &[u8; 32], content_sha256: &[u8; 32]) -> String {
    let mut hash = Sha256::new();
    hash.update(b"latentwire derived SOP Instance UID v1");
    hash.update((source.len() as u64).to_le_bytes());
    hash.update(source);
    hash.update(decoder_digest);
    hash.update(content_sha256);
    let digest = hash.finalize();
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    format!("2.25.{}", u128::from_be_bytes(bytes))
}
