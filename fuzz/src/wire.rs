//! gRPC messages of a session, and the protobuf bodies that stand under seals (docs/PROTOCOL.md, sections 3 and 5).

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body_util::Full;
use latentwire_proto::v1::{
    MetaRecord, NeedExactBody, OpenAckBody, ReceiptBody, SessionRequest, SessionResponse,
};
use prost::Message;
use tonic::codec::{Codec, Streaming};
use tonic_prost::ProstCodec;

/// The limit of both services.
const MESSAGE_BYTES: usize = 128 * 1024;

/// `[what, bytes…]`: length-prefixed gRPC messages of either direction, or the plaintext of one body.
pub(crate) fn frame(data: &[u8]) {
    let Some((what, rest)) = data.split_first() else { return };
    match what % 6 {
        0 => stream::<SessionRequest>(rest),
        1 => stream::<SessionResponse>(rest),
        2 => body::<MetaRecord>(rest),
        3 => body::<OpenAckBody>(rest),
        4 => body::<ReceiptBody>(rest),
        _ => body::<NeedExactBody>(rest),
    }
}

/// Every message of a stream, as tonic takes it off the wire, until the first that is refused.
fn stream<M: Message + Default + PartialEq + 'static>(bytes: &[u8]) {
    let decoder = ProstCodec::<M, M>::default().decoder();
    let body = Full::new(Bytes::copy_from_slice(bytes));
    let mut stream = Streaming::new_request(decoder, body, None, Some(MESSAGE_BYTES));
    while let Some(Ok(Some(message))) = at_once(stream.message()) {
        again(&message);
    }
}

/// The answer of a future that waits for nothing outside.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    }
}

fn body<M: Message + Default + PartialEq>(bytes: &[u8]) {
    if let Ok(message) = M::decode(bytes) {
        again(&message);
    }
}

/// A message that was read is written to what reads as the same; NaN, unlike itself, is compared as bytes.
fn again<M: Message + Default>(message: &M) {
    let bytes = message.encode_to_vec();
    let read = M::decode(bytes.as_slice()).expect("what was written can be read");
    assert_eq!(read.encode_to_vec(), bytes);
}
