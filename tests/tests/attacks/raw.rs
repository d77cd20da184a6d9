//! gRPC by hand over HTTP/2: message prefixes, floods and headers that no gRPC library would send.

use std::{net::SocketAddr, time::Duration};

use h2::{RecvStream, SendStream, client};
use http::Request;
use latentwire_proto::{Bytes, v1::SessionResponse};
use prost::Message as _;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

const PATIENCE: Duration = Duration::from_secs(60);

/// One call of `Session`.
pub struct RawCall {
    pub requests: SendStream<Bytes>,
    answers: Option<client::ResponseFuture>,
    body: Option<RecvStream>,
    buffer: Vec<u8>,
    connection: JoinHandle<()>,
}

impl Drop for RawCall {
    fn drop(&mut self) {
        self.connection.abort();
    }
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// By a gRPC status: its code and the reason that it carries, if any.
    Status(i32, String),
    /// The stream or the connection was reset.
    Reset,
}

impl RawCall {
    /// Begins a call with further headers.
    pub async fn begin(address: SocketAddr, headers: &[(&str, &str)]) -> Self {
        let stream = TcpStream::connect(address).await.expect("somebody listens");
        stream.set_nodelay(true).expect("a socket takes options");
        let (mut sender, connection) = client::handshake(stream).await.expect("HTTP/2");
        // It ends with an error where the server breaks it off, which the call sees too.
        let connection = tokio::spawn(async move { drop(connection.await) });
        let mut request = Request::post(format!("http://{address}/latentwire.v1.TransferService/Session"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(()).expect("a request");
        let (answers, requests) = sender.send_request(request, false).expect("a stream");
        Self { requests, answers: Some(answers), body: None, buffer: Vec::new(), connection }
    }

    /// One message with a true prefix.
    pub fn message(bytes: &[u8]) -> Vec<u8> {
        Self::prefixed(0, u32::try_from(bytes.len()).expect("a short message"), bytes)
    }

    pub fn prefixed(compressed: u8, length: u32, bytes: &[u8]) -> Vec<u8> {
        [&[compressed][..], &length.to_be_bytes(), bytes].concat()
    }

    /// Sends bytes as DATA; false where the stream is over.
    pub async fn send(&mut self, bytes: Vec<u8>) -> bool {
        let mut rest = Bytes::from(bytes);
        loop {
            self.requests.reserve_capacity(rest.len().max(1));
            let room = std::future::poll_fn(|context| self.requests.poll_capacity(context));
            let Ok(Some(Ok(room))) = timeout(PATIENCE, room).await else { return false };
            let piece = rest.split_to(room.min(rest.len()));
            if self.requests.send_data(piece, false).is_err() {
                return false;
            }
            if rest.is_empty() {
                return true;
            }
        }
    }

    /// Ends the requests in order.
    pub fn finish(&mut self) {
        // The stream may be over already.
        let _ = self.requests.send_data(Bytes::new(), true);
    }

    async fn body(&mut self) -> Result<&mut RecvStream, End> {
        if let Some(answers) = self.answers.take() {
            let response =
                timeout(PATIENCE, answers).await.expect("an answer in time").map_err(|_| End::Reset)?;
            if let Some(status) = status_of(response.headers()) {
                return Err(status);
            }
            self.body = Some(response.into_body());
        }
        self.body.as_mut().ok_or(End::Reset)
    }

    /// The next message, or how the call ended.
    pub async fn answer(&mut self) -> Result<SessionResponse, End> {
        loop {
            if let Some((head, rest)) = self.buffer.split_first_chunk::<5>() {
                let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
                assert_eq!(head[0], 0, "a compressed answer");
                if rest.len() >= length {
                    let message = SessionResponse::decode(&rest[..length]).expect("the receiver's protobuf");
                    self.buffer.drain(..5 + length);
                    return Ok(message);
                }
            }
            let body = self.body().await?;
            match timeout(PATIENCE, body.data()).await.expect("an answer in time") {
                Some(Ok(data)) => {
                    let _ = body.flow_control().release_capacity(data.len());
                    self.buffer.extend_from_slice(&data);
                }
                Some(Err(_)) => return Err(End::Reset),
                None => {
                    let trailers = body.trailers().await.ok().flatten();
                    return Err(trailers.and_then(|trailers| status_of(&trailers)).unwrap_or(End::Reset));
                }
            }
        }
    }

    /// Reads on to the end.
    pub async fn end(&mut self) -> End {
        loop {
            if let Err(end) = self.answer().await {
                return end;
            }
        }
    }
}

fn status_of(headers: &http::HeaderMap) -> Option<End> {
    let status = tonic::Status::from_header_map(headers)?;
    Some(End::Status(status.code().into(), crate::peer::reason_of(&status)))
}
