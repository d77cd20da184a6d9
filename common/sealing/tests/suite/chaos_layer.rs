//! The chaos layer inside real segments: it comes back whole, and only with the keys of its own transfer.

use latentwire_sealing::{Acceptance, ChaosBytes, CryptoError, PaddingPolicy, Proposal, padding};

use crate::support::{Pair, body, open_transfer, sha256};

const SEGMENT: u32 = 1_024;

fn transfer(length: usize, padding: PaddingPolicy) -> (Proposal, Acceptance) {
    let (mut here, mut there) = Pair::new().session();
    open_transfer(&mut here, &mut there, &body(length as u64, SEGMENT, padding))
}

/// Seals all, opens all; gives the padded plaintext as the receiver has it.
fn carry(proposal: &mut Proposal, acceptance: &mut Acceptance, bytes: &ChaosBytes) -> Vec<u8> {
    let mut padded = Vec::new();
    while proposal.segments.next_plaintext_bytes().is_some() {
        let (mut segment, position) = proposal.segments.seal_chaos(bytes).expect("a segment");
        acceptance.segments.open(position.last, &mut segment).expect("authentic");
        padded.extend(segment);
    }
    assert_eq!(proposal.segments.seal_chaos(bytes).err(), Some(CryptoError::SegmentAfterLast));
    padded
}

#[test]
fn what_was_scrambled_comes_back_at_any_length_and_padding() {
    for length in [1, 2, 1_023, 1_024, 1_025, 5_000] {
        for policy in [PaddingPolicy::Padme, PaddingPolicy::None] {
            let coded: Vec<u8> = (0..length).map(|i| (i % 7) as u8).collect();
            let digest = sha256(&coded);
            let (mut proposal, mut acceptance) = transfer(length, policy);
            let bytes = ChaosBytes::scramble(coded.clone(), &proposal.tags, &digest);
            assert_eq!(bytes.len(), length);
            let padded = carry(&mut proposal, &mut acceptance, &bytes);
            assert!(length < 16 || padded[..length] != coded[..], "it is scrambled below AES-GCM too");
            let complete = acceptance.segments.finish().expect("complete");
            let opened = padding::unpad_chaos(complete, padded, length as u64, &digest, &acceptance.tags);
            assert_eq!(opened, Ok(coded));
        }
    }
}

#[test]
fn another_transfers_keys_or_a_wrong_digest_give_nothing() {
    let coded = vec![5; 3_000];
    let digest = sha256(&coded);
    for wrong_digest in [false, true] {
        let (mut proposal, mut acceptance) = transfer(coded.len(), PaddingPolicy::Padme);
        let (other, _) = transfer(coded.len(), PaddingPolicy::Padme);
        let tags = if wrong_digest { &proposal.tags } else { &other.tags };
        let bytes = ChaosBytes::scramble(coded.clone(), tags, &digest);
        let padded = carry(&mut proposal, &mut acceptance, &bytes);
        let complete = acceptance.segments.finish().expect("complete");
        let stated = if wrong_digest { [9; 32] } else { digest };
        let opened = padding::unpad_chaos(complete, padded, 3_000, &stated, &acceptance.tags);
        assert_eq!(opened, Err(CryptoError::Digest));
    }
}
