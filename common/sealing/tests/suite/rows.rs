//! Row mode: segment i is row i of the raw latent, under key i mod 256 as in Alslman 2022, and never under a nonce twice.
//! Which keys and nonces those are, `frozen_vectors` shows.

use latentwire_sealing::{
    Complete, CryptoError, Established, Form, ImageSecret, InnerLayer, OpenBody, PaddingPolicy, Proposal,
    WireReason, padding,
};
use proptest::prelude::*;

use crate::support::{Pair, body, coded, open_all, open_transfer, rows_body, seal_all, sha256, system_rng};

const ROW: u32 = 24;

/// A transfer of rows, sealed; its Open can be accepted again and again.
struct Rows {
    there: Established,
    proposal: Proposal,
    sealed: Vec<(bool, Vec<u8>)>,
    plain: Vec<u8>,
}

impl Rows {
    fn new(rows: usize) -> Self {
        let (mut here, mut there) = Pair::new().session();
        let (mut proposal, _) = open_transfer(&mut here, &mut there, &rows_body(rows, ROW));
        let plain = coded(rows * ROW as usize);
        let sealed = seal_all(&mut proposal, &plain);
        Self { there, proposal, sealed, plain }
    }

    fn open(&self, segments: &[(bool, Vec<u8>)]) -> Result<Vec<u8>, CryptoError> {
        open_all(self.there.secrets.accept(&self.proposal.open).expect("the same session"), segments)
    }

    /// Proof that all rows came.
    fn complete(&self) -> Complete {
        let mut segments = self.there.secrets.accept(&self.proposal.open).expect("the same session").segments;
        for (last, ciphertext) in &self.sealed {
            segments.open(*last, &mut ciphertext.clone()).expect("honest");
        }
        segments.finish().expect("whole")
    }
}

#[test]
fn each_row_is_a_segment_of_its_own_length_and_a_tag() {
    let rows = Rows::new(600);
    assert_eq!(rows.sealed.len(), 600);
    assert!(rows.sealed.iter().all(|(_, sealed)| sealed.len() == ROW as usize + 16));
    assert_eq!(rows.sealed.iter().position(|(last, _)| *last), Some(599));
    assert_eq!(rows.open(&rows.sealed).expect("honest"), rows.plain);
    rows.proposal.segments.finish().expect("all sealed");
}

#[test]
fn rows_that_share_a_key_cannot_change_places() {
    let rows = Rows::new(600);
    for (one, other) in [(0, 256), (256, 512), (0, 512), (87, 343), (343, 599), (7, 8)] {
        let mut swapped = rows.sealed.clone();
        swapped.swap(one, other);
        (swapped[one].0, swapped[other].0) = (rows.sealed[one].0, rows.sealed[other].0);
        let refused = rows.open(&swapped).expect_err("another nonce");
        assert_eq!(refused, CryptoError::SegmentAuthentication { index: one as u32 });
        assert_eq!(refused.wire_reason(), WireReason::PayloadAuthenticationFailed);
        let mut twice = rows.sealed.clone();
        twice[other].1 = rows.sealed[one].1.clone();
        assert_eq!(rows.open(&twice), Err(CryptoError::SegmentAuthentication { index: other as u32 }));
    }
    assert_eq!(
        rows.open(&rows.sealed[..599]),
        Err(CryptoError::StreamTruncated { expected: 600, received: 599 })
    );
}

#[test]
fn every_bit_of_a_row_at_each_end_of_a_round_of_keys() {
    let rows = Rows::new(260);
    for index in [0, 1, 255, 256, 259] {
        for bit in 0..rows.sealed[index].1.len() * 8 {
            let mut changed = rows.sealed.clone();
            changed[index].1[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(rows.open(&changed), Err(CryptoError::SegmentAuthentication { index: index as u32 }));
        }
    }
}

#[test]
fn the_head_comes_before_the_rows_and_nothing_else_does() {
    let rows = Rows::new(10);
    let head = b"head of a coded image";
    let image = [head.as_slice(), &rows.plain].concat();
    let (length, digest) = (image.len() as u64, sha256(&image));
    let join = |head: &[u8], plain: &[u8], length, digest| {
        padding::join_rows(rows.complete(), head, plain, length, digest)
    };
    assert_eq!(join(head, &rows.plain, length, &digest), Ok(image));
    assert_eq!(join(b"hood of a coded image", &rows.plain, length, &digest), Err(CryptoError::Digest));
    assert_eq!(join(head, &rows.plain, length, &[0; 32]), Err(CryptoError::Digest));
    for wrong in [0, 1, length - 1, length + 1, u64::MAX] {
        assert_eq!(join(head, &rows.plain, wrong, &digest), Err(CryptoError::Padding), "{wrong}");
    }
    assert_eq!(join(&head[1..], &rows.plain, length, &digest), Err(CryptoError::Padding));
    assert_eq!(join(head, &rows.plain[1..], length - 1, &digest), Err(CryptoError::Padding));
    let alone = padding::unpad(rows.complete(), rows.plain.clone(), 240, &sha256(&rows.plain));
    assert_eq!(alone, Err(CryptoError::Padding), "rows are no image without their head");

    let (mut here, mut there) = Pair::new().session();
    let (mut proposal, accepted) =
        open_transfer(&mut here, &mut there, &body(240, 1_024, PaddingPolicy::None));
    let mut segments = accepted.segments;
    for (last, mut ciphertext) in seal_all(&mut proposal, &rows.plain) {
        segments.open(last, &mut ciphertext).expect("honest");
    }
    let joined = padding::join_rows(segments.finish().expect("whole"), head, &rows.plain, length, &digest);
    assert_eq!(joined, Err(CryptoError::Padding), "what was not sent as rows");
}

/// Both ends keep to the same rules: a row is 4 to 65,536 bytes of whole float32, there are whole rows of a latent alone,
/// and nothing lies between them and AES-GCM.
#[test]
fn what_is_no_row_is_refused_at_both_ends() {
    let good = rows_body(10, ROW);
    let bad = [
        OpenBody { segment_bytes: 0, ..good.clone() },
        OpenBody { segment_bytes: 2, ..good.clone() },
        OpenBody { segment_bytes: 22, padded_bytes: 220, ..good.clone() },
        OpenBody { segment_bytes: 65_540, padded_bytes: 65_540, ..good.clone() },
        OpenBody { padded_bytes: 0, ..good.clone() },
        OpenBody { padded_bytes: 239, ..good.clone() },
        OpenBody { padded_bytes: 244, ..good.clone() },
        OpenBody { form: Form::Exact, decoder_digest: [0; 32], ..good.clone() },
        OpenBody { form: Form::Bounded, ..good.clone() },
        OpenBody { inner_layer: InnerLayer::Chaos4, ..good.clone() },
    ];
    let (here, there) = Pair::new().session();
    let propose =
        |body: &OpenBody| here.secrets.propose(body, ImageSecret::generate(&mut system_rng()), &[0; 32]);
    let open = propose(&good).expect("within bounds").open;
    there.secrets.accept(&open).expect("within bounds");
    for body in bad {
        let refused = propose(&body).err();
        assert!(matches!(refused, Some(CryptoError::OpenMalformed { .. })), "{body:?}: {refused:?}");
        let mut hostile = open.to_vec();
        hostile[1] = body.form as u8;
        hostile[3] = body.inner_layer as u8;
        hostile[24..56].copy_from_slice(&body.decoder_digest);
        hostile[56..60].copy_from_slice(&body.segment_bytes.to_be_bytes());
        hostile[60..68].copy_from_slice(&body.padded_bytes.to_be_bytes());
        let refused = there.secrets.accept(&hostile).err();
        assert!(matches!(refused, Some(CryptoError::OpenMalformed { .. })), "{body:?}: {refused:?}");
    }
    let many = OpenBody { segment_bytes: 4, padded_bytes: 4 << 21, ..good };
    assert!(matches!(propose(&many).err(), Some(CryptoError::TransferTooLarge { .. })), "2^21 rows");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_rows_come_back(rows in 1_usize..700, floats in 1_u32..300, head in prop::collection::vec(any::<u8>(), 0..200)) {
        let (mut here, mut there) = Pair::new().session();
        let body = rows_body(rows, floats * 4);
        let (mut proposal, accepted) = open_transfer(&mut here, &mut there, &body);
        let plain = coded(rows * floats as usize * 4);
        let sealed = seal_all(&mut proposal, &plain);
        prop_assert_eq!(sealed.len(), rows);
        let mut segments = accepted.segments;
        let mut opened = Vec::new();
        for (last, mut ciphertext) in sealed {
            segments.open(last, &mut ciphertext).expect("honest");
            opened.extend_from_slice(&ciphertext);
        }
        let image = [head.as_slice(), &plain].concat();
        let complete = segments.finish().expect("whole");
        let joined = padding::join_rows(complete, &head, &opened, image.len() as u64, &sha256(&image));
        prop_assert_eq!(joined, Ok(image));
    }
}
