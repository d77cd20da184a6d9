//! A connection whose peer must begin to speak HTTP/2 in time. HTTP/2's own pings begin only behind the preface, so whoever
//! connects and says nothing, or a byte now and then, would stay for ever.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

/// Bytes of HTTP/2's connection preface (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

/// Fails its reads when the preface is not there within the limit.
pub(super) struct Prefaced<S> {
    inner: S,
    /// Bytes of the preface that have not come, and how long they may take.
    due: Option<(usize, Pin<Box<Sleep>>)>,
}

impl<S> Prefaced<S> {
    /// The limit runs from now on.
    pub(super) fn new(inner: S, limit: Duration) -> Self {
        Self { inner, due: Some((PREFACE_BYTES, Box::pin(tokio::time::sleep(limit)))) }
    }
}

impl<S: Connected> Connected for Prefaced<S> {
    type ConnectInfo = S::ConnectInfo;

    fn connect_info(&self) -> Self::ConnectInfo {
        self.inner.connect_info()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Prefaced<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some((_, deadline)) = &mut self.due
            && deadline.as_mut().poll(context).is_ready()
        {
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "no HTTP/2 preface in time")));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.inner).poll_read(context, buffer);
        let came = buffer.filled().len() - before;
        self.due = self.due.take().and_then(|(left, deadline)| {
            let left = left.saturating_sub(came);
            (left > 0).then_some((left, deadline))
        });
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Prefaced<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_preface_that_drips_is_given_up_and_one_that_came_is_not() {
        let (mut peer, end) = tokio::io::duplex(64);
        let mut end = Prefaced::new(end, Duration::from_millis(50));
        peer.write_all(&[1; 23]).await.expect("room");
        let mut bytes = [0; 64];
        assert_eq!(end.read(&mut bytes).await.expect("in time"), 23);
        assert_eq!(end.read(&mut bytes).await.expect_err("too late").kind(), io::ErrorKind::TimedOut);

        let (mut peer, end) = tokio::io::duplex(64);
        let mut end = Prefaced::new(end, Duration::from_millis(50));
        peer.write_all(&[1; 24]).await.expect("room");
        assert_eq!(end.read(&mut bytes).await.expect("in time"), 24);
        tokio::time::sleep(Duration::from_millis(80)).await;
        peer.write_all(&[2; 3]).await.expect("room");
        assert_eq!(end.read(&mut bytes).await.expect("the limit holds no more"), 3);
    }
}
