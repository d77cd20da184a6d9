//! Open, Meta, segments and the chaos layer (docs/PROTOCOL.md, sections 5 to 9).

use latentwire_sealing::{
    ChaosBytes, ControlKind, Form, ImageSecret, InnerLayer, MAX_PADDED_BYTES, MAX_SEGMENTS, OPEN_BODY_BYTES,
    OpenBody, PaddingPolicy,
    key_schedule::{Context, Prk},
    padding,
};
use sha2::{Digest, Sha256};

use crate::{
    edits::edited,
    session::{self, Constant},
};

/// An Open at the receiver: `[mode, rest]`. Mode 0: the rest is the plaintext. 1: it is an edit script for the sealed message. Else: it
/// is an edit script for an honest `open_body`, which then gets the commitment that belongs to it.
pub(crate) fn open(data: &[u8]) {
    let Some((mode, rest)) = data.split_first() else { return };
    let (here, there) = &*session::SECRETS;
    let proposal = here
        .propose(&body(3 * 1_024 + 7, InnerLayer::None), ImageSecret::generate(&mut Constant(5)), &[7; 32])
        .expect("a body within its bounds");
    let plaintext = match mode {
        0 => rest.to_vec(),
        1 => {
            let (mut here, mut there) = session::established();
            let honest = here.sealer.seal(ControlKind::Open, &proposal.open).expect("it is short");
            let message = edited(&honest, rest);
            let opened = there.opener.open(ControlKind::Open, &message);
            assert_eq!(opened.is_ok(), message == honest);
            return;
        }
        _ => {
            let mut open_body = edited(&proposal.open[..OPEN_BODY_BYTES], rest);
            open_body.resize(OPEN_BODY_BYTES, 0);
            let commitment = Prk::extract(
                there.handshake_hash(),
                &[&session::pq_shared_secret(), &open_body[OPEN_BODY_BYTES - 32..]],
            )
            .bind(Context::of_open_body(&open_body))
            .commitment();
            [open_body.as_slice(), &commitment, &[9; 32]].concat()
        }
    };
    let Ok(accepted) = there.accept(&plaintext) else {
        assert_ne!(plaintext, proposal.open.as_slice(), "the honest Open is accepted");
        return;
    };
    let body = &accepted.body;
    assert_eq!(plaintext[8..24], body.transfer_id);
    assert_eq!(plaintext[60..68], body.padded_bytes.to_be_bytes());
    assert!(body.padded_bytes >= 1 && body.padded_bytes <= MAX_PADDED_BYTES);
    let plan = accepted.segments.plan();
    assert!(plan.count() >= 1 && plan.count() <= MAX_SEGMENTS);
    let length = |index| plan.plaintext_bytes(index).map_or(0, |length| length as u64);
    let whole = u64::from(plan.count() - 1) * u64::from(body.segment_bytes);
    assert_eq!(whole + length(plan.count() - 1), body.padded_bytes, "segments hold the image and no more");
    assert_eq!(plan.plaintext_bytes(plan.count()), None);
}

/// Segments at the receiver, in any order and shape: `[segments, last, commands…]`, a command `[kind, index, bit, bit]`.
pub(crate) fn segments(data: &[u8]) {
    let Some(([count, last], script)) = data.split_first_chunk::<2>() else { return };
    let length = usize::from(count % 5) * 1_024 + usize::from(*last) + 1;
    let coded: Vec<u8> = (0..length).map(|place| place.wrapping_mul(31) as u8).collect();
    let sealed = seal(&coded, 5);
    let foreign = seal(&coded, 6);
    let (_, there) = &*session::SECRETS;
    let mut opener = there.accept(&sealed.open).expect("the same session").segments;

    let (mut next, mut dead) = (0, false);
    let mut opened = Vec::new();
    for command in script.chunks_exact(4).take(32) {
        let index = usize::from(command[1]) % sealed.segments.len();
        let bit = usize::from(u16::from_be_bytes([command[2], command[3]]));
        let (mut is_last, mut segment) = sealed.segments[index].clone();
        let length = segment.len();
        let honest = command[0] % 8 > 4;
        match command[0] % 8 {
            0 => segment.clone_from(&foreign.segments[index].1),
            1 => segment[bit / 8 % length] ^= 1 << (bit % 8),
            2 => segment.truncate(bit % length),
            3 => segment.push(command[3]),
            4 => is_last = !is_last,
            _ => {}
        }
        let expected = honest && !dead && index == next;
        let result = opener.open(is_last, &mut segment);
        assert_eq!(result.is_ok(), expected, "{command:?} of {} segments", sealed.segments.len());
        if expected {
            next += 1;
            opened.extend_from_slice(&segment);
        } else {
            dead = true;
        }
    }
    let whole = !dead && next == sealed.segments.len();
    let complete = opener.finish();
    assert_eq!(complete.is_ok(), whole, "{next} of {} segments", sealed.segments.len());
    if let Ok(complete) = complete {
        let found = padding::unpad(complete, opened, coded.len() as u64, &Sha256::digest(&coded).into());
        assert_eq!(found.expect("it is whole"), coded);
    }
}

/// The chaos layer: any bytes come back, and only with their own digest.
pub(crate) fn chaos(coded: &[u8]) {
    let coded = &coded[..coded.len().min(8_192)];
    if coded.is_empty() {
        return;
    }
    let (here, there) = &*session::SECRETS;
    let body = body(coded.len() as u64, InnerLayer::Chaos4);
    let mut proposal = here
        .propose(&body, ImageSecret::generate(&mut Constant(5)), &[7; 32])
        .expect("a body within its bounds");
    let mut accepted = there.accept(&proposal.open).expect("the same session");
    let digest = Sha256::digest(coded).into();
    let scrambled = ChaosBytes::scramble(coded.to_vec(), &proposal.tags, &digest);
    let mut padded = Vec::new();
    while proposal.segments.next_plaintext_bytes().is_some() {
        let (mut segment, position) = proposal.segments.seal_chaos(&scrambled).expect("a segment is left");
        accepted.segments.open(position.last, &mut segment).expect("in order");
        padded.extend_from_slice(&segment);
    }
    let complete = accepted.segments.finish().expect("all segments came");
    let found = padding::unpad_chaos(complete, padded, coded.len() as u64, &digest, &accepted.tags);
    assert_eq!(found.expect("it is whole"), coded);
}

/// A transfer as the sender makes it.
struct Sealed {
    open: Vec<u8>,
    segments: Vec<(bool, Vec<u8>)>,
}

/// Seals an image under a secret of this byte.
fn seal(coded: &[u8], secret: u8) -> Sealed {
    let (here, _) = &*session::SECRETS;
    let mut proposal = here
        .propose(
            &body(coded.len() as u64, InnerLayer::None),
            ImageSecret::generate(&mut Constant(secret)),
            &[7; 32],
        )
        .expect("a body within its bounds");
    let padded = padding::pad(PaddingPolicy::None, coded.to_vec()).expect("it is not empty");
    let mut segments = Vec::new();
    let mut rest = padded.as_slice();
    while let Some(length) = proposal.segments.next_plaintext_bytes() {
        let (head, tail) = rest.split_at(length);
        let mut segment = head.to_vec();
        let position = proposal.segments.seal(&mut segment).expect("the length that was asked for");
        segments.push((position.last, segment));
        rest = tail;
    }
    Sealed { open: proposal.open.to_vec(), segments }
}

fn body(padded_bytes: u64, inner_layer: InnerLayer) -> OpenBody {
    OpenBody {
        slot: 1,
        transfer_id: [0x42; 16],
        form: Form::Latent,
        decoder_digest: [9; 32],
        segment_bytes: 1_024,
        padded_bytes,
        padding: PaddingPolicy::None,
        inner_layer,
    }
}
