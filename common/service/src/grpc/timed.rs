//! A time limit on every message of a stream.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep, sleep};
use tokio_stream::Stream;
use tonic::Status;

use crate::status::{RequestError, to_status};

/// Ends a stream of messages with DEADLINE_EXCEEDED `STREAM_IDLE` when the next message takes longer than `idle`.
///
/// `tonic`'s own timeout bounds the response's head only, so every stream that a peer feeds is read through this.
pub fn timed<S, T>(stream: S, idle: Duration) -> Timed<S>
where
    S: Stream<Item = Result<T, Status>> + Unpin,
{
    Timed { stream: Some(stream), idle, deadline: Box::pin(sleep(idle)) }
}

/// See [`timed`].
pub struct Timed<S> {
    /// `None` once it is over.
    stream: Option<S>,
    idle: Duration,
    deadline: Pin<Box<Sleep>>,
}

impl<S, T> Stream for Timed<S>
where
    S: Stream<Item = Result<T, Status>> + Unpin,
{
    type Item = Result<T, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let Some(stream) = self.stream.as_mut() else { return Poll::Ready(None) };
        match Pin::new(stream).poll_next(cx) {
            Poll::Ready(Some(message)) => {
                let deadline = Instant::now() + self.idle;
                self.deadline.as_mut().reset(deadline);
                Poll::Ready(Some(message))
            }
            Poll::Ready(None) => {
                self.stream = None;
                Poll::Ready(None)
            }
            Poll::Pending => {
                if self.deadline.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.stream = None;
                Poll::Ready(Some(Err(to_status(&RequestError::StreamIdle.into()))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio_stream::StreamExt;
    use tonic::Code;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_resting_stream_ends_with_deadline_exceeded() {
        let messages = tokio_stream::iter([1, 2]).map(Ok).chain(tokio_stream::pending());
        let mut stream = timed(messages, Duration::from_secs(30));
        assert_eq!(stream.next().await.expect("a message").expect("no error"), 1);
        assert_eq!(stream.next().await.expect("a message").expect("no error"), 2);
        let begin = Instant::now();
        let error = stream.next().await.expect("the error").expect_err("idle");
        assert_eq!(error.code(), Code::DeadlineExceeded);
        assert_eq!(begin.elapsed().as_secs(), 30);
        assert!(stream.next().await.is_none());
    }
}
