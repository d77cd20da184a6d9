//! Hostile transfers: changed, moved, repeated, cut, spliced. Nothing comes out of any.

use latentwire_sealing::{
    Acceptance, CryptoError, Established, Form, ImageSecret, MAX_META_BYTES, MAX_PADDED_BYTES, MAX_SEGMENTS,
    OpenBody, PaddingPolicy, Proposal, WireReason, padding, tags_equal,
};

use crate::support::{Pair, body, coded, open_all, open_transfer, seal_all, sha256, system_rng};

/// A transfer of `segments` KiB and a bit, sealed; with the plaintext of its Open, to accept it again and again.
struct Transfer {
    there: Established,
    open: Vec<u8>,
    proposal: Proposal,
    sealed: Vec<(bool, Vec<u8>)>,
    padded: Vec<u8>,
}

impl Transfer {
    fn new(bytes: usize) -> Self {
        let (mut here, mut there) = Pair::new().session();
        let body = body(bytes as u64, 1_024, PaddingPolicy::None);
        let (mut proposal, _) = open_transfer(&mut here, &mut there, &body);
        let padded = coded(bytes);
        let sealed = seal_all(&mut proposal, &padded);
        Self { there, open: proposal.open.to_vec(), proposal, sealed, padded }
    }

    fn accept(&self) -> Acceptance {
        self.there.secrets.accept(&self.open).expect("the same session")
    }

    fn refuses(&self, segments: &[(bool, Vec<u8>)]) -> CryptoError {
        let error = open_all(self.accept(), segments).expect_err("a hostile stream");
        let reason = error.wire_reason();
        let closed = [WireReason::PayloadAuthenticationFailed, WireReason::StreamTruncated];
        assert!(closed.contains(&reason), "{error}");
        error
    }
}

#[test]
fn the_honest_transfer_opens() {
    let transfer = Transfer::new(2_500);
    assert_eq!(open_all(transfer.accept(), &transfer.sealed).expect("honest"), transfer.padded);
    transfer.proposal.segments.finish().expect("all sealed");
}

#[test]
fn every_bit_of_every_segment() {
    let transfer = Transfer::new(2_200);
    for index in 0..transfer.sealed.len() {
        let (last, honest) = &transfer.sealed[index];
        for bit in 0..honest.len() * 8 {
            let mut opener = transfer.accept().segments.start_at(index as u32).expect("a segment");
            let mut changed = honest.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let before = changed.clone();
            let error = opener.open(*last, &mut changed).expect_err("a flipped bit");
            assert_eq!(error, CryptoError::SegmentAuthentication { index: index as u32 });
            assert_eq!(changed, before, "no plaintext of an unauthenticated segment");
            assert_eq!(opener.open(*last, &mut honest.clone()), Err(CryptoError::TransferPoisoned));
            assert_eq!(opener.finish().err(), Some(CryptoError::TransferPoisoned));
        }
    }
}

#[test]
fn every_bit_of_the_open() {
    let transfer = Transfer::new(1_000);
    for bit in 0..transfer.open.len() * 8 {
        let mut changed = transfer.open.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let accepted = transfer.there.secrets.accept(&changed);
        if bit / 8 < 132 {
            assert!(accepted.is_err(), "bit {bit} of body or commitment");
        } else {
            // The content tag is the sender's word about its source file; it opens nothing.
            assert_ne!(accepted.expect("the body is whole").content_tag, transfer.accept().content_tag);
        }
    }
    for length in (0..transfer.open.len()).chain([transfer.open.len() + 1]) {
        let mut cut = transfer.open.clone();
        cut.resize(length, 0);
        assert!(transfer.there.secrets.accept(&cut).is_err());
    }
}

#[test]
fn a_wrong_commitment_stops_before_the_first_segment() {
    let transfer = Transfer::new(1_000);
    let mut changed = transfer.open.clone();
    changed[100] ^= 1;
    let error = transfer.there.secrets.accept(&changed).err();
    assert_eq!(error, Some(CryptoError::Commitment));
    let mut other_secret = transfer.open.clone();
    other_secret[99] ^= 1;
    assert_eq!(transfer.there.secrets.accept(&other_secret).err(), Some(CryptoError::Commitment));
}

#[test]
fn open_fields_outside_their_bounds() {
    let transfer = Transfer::new(1_000);
    let with = |offset: usize, value: &[u8]| {
        let mut open = transfer.open.clone();
        open[offset..offset + value.len()].copy_from_slice(value);
        transfer.there.secrets.accept(&open).err().expect("out of bounds")
    };
    let malformed = |error| matches!(error, CryptoError::OpenMalformed { .. });
    for (offset, codes) in [(0, [0, 2, 255]), (1, [0, 4, 255]), (2, [0, 5, 255]), (3, [0, 3, 255])] {
        for code in codes {
            assert!(malformed(with(offset, &[code])), "offset {offset}, code {code}");
        }
    }
    assert_eq!(with(3, &[2]), CryptoError::Commitment, "another inner layer is another transfer");
    assert!(malformed(with(2, &[4])), "1,000 bytes are no whole number of rows of 1,024");
    for size in [0_u32, 1, 1_023, 65_537, u32::MAX] {
        assert!(malformed(with(56, &size.to_be_bytes())), "segment size {size}");
    }
    assert!(malformed(with(60, &0_u64.to_be_bytes())), "nothing to send");
    for length in [MAX_PADDED_BYTES + 1, 1 << 40, u64::MAX] {
        let error = with(60, &length.to_be_bytes());
        assert!(matches!(error, CryptoError::TransferTooLarge { .. }), "{length}");
        assert_eq!(error.wire_reason(), WireReason::TransferTooLarge);
    }
    assert!(malformed(with(24, &[0; 32])), "a latent names its decoder");
    assert!(malformed(with(1, &[2])), "an exact form names none");
}

#[test]
fn the_sender_is_held_to_the_same_bounds() {
    let (here, there) = Pair::new().session();
    let good = body(1_000, 1_024, PaddingPolicy::None);
    let propose = |body: &OpenBody| {
        here.secrets.propose(body, ImageSecret::generate(&mut system_rng()), &[0; 32]).map(|_| ())
    };
    propose(&good).expect("within bounds");
    let bad = [
        OpenBody { segment_bytes: 1_023, ..good.clone() },
        OpenBody { segment_bytes: 65_537, ..good.clone() },
        OpenBody { padded_bytes: 0, ..good.clone() },
        OpenBody { padded_bytes: MAX_PADDED_BYTES + 1, ..good.clone() },
        OpenBody { form: Form::Exact, ..good.clone() },
        OpenBody { decoder_digest: [0; 32], ..good.clone() },
        OpenBody { padding: PaddingPolicy::Rows, ..good.clone() },
    ];
    for body in bad {
        assert!(propose(&body).is_err(), "{body:?}");
    }
    let reversed = there.secrets.propose(&good, ImageSecret::generate(&mut system_rng()), &[0; 32]);
    assert!(matches!(reversed.err(), Some(CryptoError::WrongRole { .. })), "a receiver proposes nothing");
    let open =
        here.secrets.propose(&good, ImageSecret::generate(&mut system_rng()), &[0; 32]).expect("good").open;
    assert!(matches!(here.secrets.accept(&open).err(), Some(CryptoError::WrongRole { .. })));
}

#[test]
fn truncation_at_every_boundary_and_every_byte_of_the_last() {
    let transfer = Transfer::new(5_500);
    let count = transfer.sealed.len();
    for kept in 0..count {
        let error = transfer.refuses(&transfer.sealed[..kept]);
        assert_eq!(error, CryptoError::StreamTruncated { expected: count as u32, received: kept as u32 });
        // Claiming that the last kept segment is the last does not help.
        if kept > 0 {
            let mut claimed = transfer.sealed[..kept].to_vec();
            claimed[kept - 1].0 = true;
            assert_eq!(transfer.refuses(&claimed), CryptoError::SegmentLastFlag { index: kept as u32 - 1 });
        }
    }
    let (_, last) = &transfer.sealed[count - 1];
    for length in 0..last.len() {
        let mut cut = transfer.sealed.clone();
        cut[count - 1].1.truncate(length);
        assert!(matches!(transfer.refuses(&cut), CryptoError::SegmentLength { .. }));
    }
    let mut longer = transfer.sealed.clone();
    longer[count - 1].1.push(0);
    assert!(matches!(transfer.refuses(&longer), CryptoError::SegmentLength { .. }));
    let mut denied = transfer.sealed.clone();
    denied[count - 1].0 = false;
    assert!(matches!(transfer.refuses(&denied), CryptoError::SegmentLastFlag { .. }));
}

#[test]
fn swaps_duplicates_and_drops() {
    let transfer = Transfer::new(20 * 1_024);
    for i in 0..19 {
        let mut swapped = transfer.sealed.clone();
        let (one, other) = (swapped[i].1.clone(), swapped[i + 1].1.clone());
        (swapped[i].1, swapped[i + 1].1) = (other, one);
        assert_eq!(transfer.refuses(&swapped), CryptoError::SegmentAuthentication { index: i as u32 });

        let mut doubled = transfer.sealed.clone();
        doubled.insert(i, transfer.sealed[i].clone());
        transfer.refuses(&doubled);

        let mut dropped = transfer.sealed.clone();
        dropped.remove(i);
        transfer.refuses(&dropped);
    }
    let mut after = transfer.sealed.clone();
    after.push(transfer.sealed[19].clone());
    assert_eq!(transfer.refuses(&after), CryptoError::SegmentAfterLast);
}

#[test]
fn rows_that_share_a_key_do_not_share_a_place() {
    let transfer = Transfer::new(600 * 1_024);
    open_all(transfer.accept(), &transfer.sealed).expect("honest");
    for i in [0, 1, 100, 255, 256, 300] {
        let mut swapped = transfer.sealed.clone();
        let (one, other) = (swapped[i].1.clone(), swapped[i + 256].1.clone());
        (swapped[i].1, swapped[i + 256].1) = (other, one);
        assert_eq!(transfer.refuses(&swapped), CryptoError::SegmentAuthentication { index: i as u32 });
    }
}

#[test]
fn splices_across_transfers_and_sessions() {
    let pair = Pair::new();
    let (mut here, mut there) = pair.session();
    let body = body(3_000, 1_024, PaddingPolicy::None);
    let image = coded(3_000);
    // The same image, body and slot, twice in one session and once in another: only the image secret differs.
    let (mut first, _) = open_transfer(&mut here, &mut there, &body);
    let (mut second, accepted) = open_transfer(&mut here, &mut there, &body);
    let (mut here_2, mut there_2) = pair.session();
    let (mut third, _) = open_transfer(&mut here_2, &mut there_2, &body);
    let honest = seal_all(&mut second, &image);
    let foreign = [seal_all(&mut first, &image), seal_all(&mut third, &image)];
    for other in &foreign {
        for i in 0..honest.len() {
            let mut spliced = honest.clone();
            spliced[i] = other[i].clone();
            let acceptance = there.secrets.accept(&second.open).expect("the same session");
            assert_eq!(
                open_all(acceptance, &spliced),
                Err(CryptoError::SegmentAuthentication { index: i as u32 })
            );
        }
    }
    assert_eq!(open_all(accepted, &honest).expect("honest"), image);
    assert!(there_2.secrets.accept(&second.open).is_err(), "an Open of another session");
    let meta = first.meta.seal(b"of the first").expect("short");
    let accepted = there.secrets.accept(&second.open).expect("the same session");
    assert_eq!(accepted.meta.open(&meta).err(), Some(CryptoError::MetaAuthentication));
}

#[test]
fn every_bit_of_a_meta_record() {
    let (mut here, mut there) = Pair::new().session();
    let body = body(100, 1_024, PaddingPolicy::Padme);
    let (proposal, _) = open_transfer(&mut here, &mut there, &body);
    let record = b"length, digest, shape";
    let sealed = proposal.meta.seal(record).expect("short");
    let meta = || there.secrets.accept(&proposal.open).expect("the same session").meta;
    assert_eq!(meta().open(&sealed).expect("honest").as_slice(), record);
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(meta().open(&changed).err(), Some(CryptoError::MetaAuthentication));
    }
    for length in 0..sealed.len() {
        assert!(meta().open(&sealed[..length]).is_err());
    }
    let too_long = meta().open(&vec![0; MAX_META_BYTES + 17]).err();
    assert!(matches!(too_long, Some(CryptoError::MetaLength { .. })));
    // A segment is no meta record, nor the other way round, though one transfer's keys open both.
    let (mut proposal, accepted) = open_transfer(&mut here, &mut there, &body);
    let segments = seal_all(&mut proposal, &padding::pad(PaddingPolicy::Padme, coded(100)).expect("small"));
    assert_eq!(accepted.meta.open(&segments[0].1).err(), Some(CryptoError::MetaAuthentication));
    for length in [0, MAX_META_BYTES + 1] {
        let (proposal, _) = open_transfer(&mut here, &mut there, &body);
        assert!(matches!(proposal.meta.seal(&vec![0; length]), Err(CryptoError::MetaLength { .. })));
    }
}

#[test]
fn the_counter_stops_at_its_cap() {
    let (mut here, mut there) = Pair::new().session();
    let body = body(MAX_PADDED_BYTES, 1_024, PaddingPolicy::None);
    let (proposal, accepted) = open_transfer(&mut here, &mut there, &body);
    assert_eq!(proposal.segments.plan().count(), MAX_SEGMENTS);
    let mut sealer = proposal.segments.start_at(MAX_SEGMENTS - 1).expect("the last segment");
    let mut opener = accepted.segments.start_at(MAX_SEGMENTS - 1).expect("the last segment");
    let mut buffer = coded(1_024);
    let position = sealer.seal(&mut buffer).expect("the last segment");
    assert!(position.last);
    opener.open(true, &mut buffer).expect("honest");
    assert_eq!(buffer, coded(1_024));
    assert_eq!(sealer.next_plaintext_bytes(), None);
    assert_eq!(sealer.seal(&mut coded(1_024)), Err(CryptoError::SegmentAfterLast));
    assert!(sealer.finish().is_ok() && opener.finish().is_ok());
    // Few large segments do not lift the bound on bytes.
    let large = OpenBody { padded_bytes: MAX_PADDED_BYTES + 1, segment_bytes: 65_536, ..body.clone() };
    assert!(matches!(large.segment_count(), Err(CryptoError::TransferTooLarge { .. })));
    let past = OpenBody { padded_bytes: MAX_PADDED_BYTES + 1, ..body };
    assert!(matches!(past.segment_count(), Err(CryptoError::TransferTooLarge { .. })));
}

#[test]
fn the_sealer_takes_exact_lengths_and_is_finished_once() {
    let (mut here, mut there) = Pair::new().session();
    let (mut proposal, _) = open_transfer(&mut here, &mut there, &body(1_500, 1_024, PaddingPolicy::None));
    for length in [0, 1, 1_023, 1_025, 1_500] {
        let mut buffer = vec![7; length];
        assert!(matches!(proposal.segments.seal(&mut buffer), Err(CryptoError::SegmentLength { .. })));
        assert_eq!(buffer, vec![7; length], "untouched");
    }
    proposal.segments.seal(&mut vec![7; 1_024]).expect("the length asked for");
    assert_eq!(proposal.segments.next_plaintext_bytes(), Some(476));
    let unfinished = proposal.segments.finish();
    assert_eq!(unfinished, Err(CryptoError::StreamTruncated { expected: 2, received: 1 }));
}

#[test]
fn resumption_starts_where_both_agree() {
    let (mut here, mut there) = Pair::new().session();
    let body = body(10 * 1_024, 1_024, PaddingPolicy::None);
    let image = coded(10 * 1_024);
    let (proposal, accepted) = open_transfer(&mut here, &mut there, &body);
    let held = sha256(&image[..4 * 1_024]);
    assert!(tags_equal(&proposal.tags.resume(&held), &accepted.tags.resume(&held)));
    assert!(!tags_equal(&proposal.tags.resume(&held), &accepted.tags.resume(&sha256(&image[..3 * 1_024]))));
    assert!(!tags_equal(&proposal.tags.resume(&held), &proposal.tags.receipt(&held)));
    let mut sealer = proposal.segments.start_at(4).expect("a segment");
    let mut opener = accepted.segments.start_at(4).expect("a segment");
    for i in 4..10 {
        let mut buffer = image[i * 1_024..(i + 1) * 1_024].to_vec();
        let position = sealer.seal(&mut buffer).expect("the length asked for");
        assert_eq!(position.index as usize, i);
        opener.open(position.last, &mut buffer).expect("honest");
    }
    assert!(matches!(sealer.start_at(0).err(), Some(CryptoError::ResumeIndex { .. })), "never backwards");
    assert!(opener.finish().is_ok());
    let (proposal, _) = open_transfer(&mut here, &mut there, &body);
    assert!(matches!(proposal.segments.start_at(10).err(), Some(CryptoError::ResumeIndex { .. })));
}

#[test]
fn padding_is_checked() {
    let image = coded(3_000);
    let run = |padded: Vec<u8>, coded_bytes: u64, digest: [u8; 32]| {
        let (mut here, mut there) = Pair::new().session();
        let body = body(3_000, 1_024, PaddingPolicy::Padme);
        let (mut proposal, accepted) = open_transfer(&mut here, &mut there, &body);
        let sealed = seal_all(&mut proposal, &padded);
        let mut segments = accepted.segments;
        let mut opened = Vec::new();
        for (last, mut ciphertext) in sealed {
            segments.open(last, &mut ciphertext).expect("honest");
            opened.extend_from_slice(&ciphertext);
        }
        padding::unpad(segments.finish().expect("whole"), opened, coded_bytes, &digest)
    };
    let padded = padding::pad(PaddingPolicy::Padme, image.clone()).expect("small");
    assert!(padded.len() > image.len());
    assert_eq!(run(padded.clone(), 3_000, sha256(&image)).expect("honest"), image);
    for place in image.len()..padded.len() {
        let mut dirty = padded.clone();
        dirty[place] = 1;
        assert_eq!(run(dirty, 3_000, sha256(&image)), Err(CryptoError::Padding));
    }
    assert_eq!(run(padded.clone(), 3_000, sha256(b"another")), Err(CryptoError::Digest));
    for length in [0, 1, 2_000, 3_200, u64::MAX] {
        assert_eq!(run(padded.clone(), length, sha256(&image)), Err(CryptoError::Padding), "{length}");
    }
    assert_eq!(run(padded, 2_999, sha256(&image[..2_999])), Err(CryptoError::Padding));
}

#[test]
fn padded_lengths() {
    let fixed = |length| padding::padded_length(PaddingPolicy::Fixed, length);
    assert_eq!(fixed(1), Ok(65_536));
    assert_eq!(fixed(65_536), Ok(65_536));
    assert_eq!(fixed(65_537), Ok(131_072));
    assert_eq!(fixed(MAX_PADDED_BYTES), Ok(MAX_PADDED_BYTES));
    for policy in [PaddingPolicy::Padme, PaddingPolicy::Fixed, PaddingPolicy::None, PaddingPolicy::Rows] {
        assert!(padding::padded_length(policy, 0).is_err());
        for length in [MAX_PADDED_BYTES + 1, u64::MAX] {
            let error = padding::padded_length(policy, length).expect_err("too large");
            assert_eq!(error.wire_reason(), WireReason::TransferTooLarge);
        }
    }
}
