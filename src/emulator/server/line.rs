//! Connections, plain or encrypted, that can be cut: the transport half of the faults that end one.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// How long to wait when the system has no more connections to give.
const EXHAUSTED: Duration = Duration::from_millis(50);
/// How long a caller may take over its half of the handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

const WHOLE: u8 = 0;
const CUT: u8 = 1;
const CUT_IN_BODY: u8 = 2;

/// The switch of one connection, in the hands of whoever answers on it.
#[derive(Clone, Debug)]
pub(super) struct Breaker(Arc<AtomicU8>);

/// A listener whose connections carry a [`Breaker`].
pub(super) struct Door {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    /// Handshakes under way: a slow caller must not keep the others out.
    handshakes: JoinSet<Option<(TlsStream<TcpStream>, SocketAddr)>>,
}

/// One connection.
pub(super) struct Line {
    stream: Stream,
    breaker: Breaker,
    /// Whether the answer's head has gone out, once the body is to be cut.
    is_past_head: bool,
}

enum Stream {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

impl Breaker {
    /// Ends the connection before the next byte.
    pub(super) fn cut(&self) {
        self.0.store(CUT, Ordering::Release);
    }

    /// Ends the connection half way through the next body.
    pub(super) fn cut_in_body(&self) {
        self.0.store(CUT_IN_BODY, Ordering::Release);
    }

    fn state(&self) -> u8 {
        self.0.load(Ordering::Acquire)
    }
}

impl Door {
    pub(super) fn new(listener: TcpListener, tls: Option<TlsAcceptor>) -> Self {
        Self { listener, tls, handshakes: JoinSet::new() }
    }
}

impl Listener for Door {
    type Io = Line;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Line, SocketAddr) {
        loop {
            tokio::select! {
                Some(shaken) = self.handshakes.join_next() => {
                    if let Ok(Some((stream, from))) = shaken {
                        return (Line::new(Stream::Encrypted(Box::new(stream))), from);
                    }
                }
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, from)) => {
                        // Answers are small; waiting to fill a packet would only slow them. A refusal changes nothing.
                        let _ = stream.set_nodelay(true);
                        let Some(tls) = self.tls.clone() else {
                            return (Line::new(Stream::Plain(stream)), from);
                        };
                        self.handshakes.spawn(async move {
                            let shaken = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await;
                            Some((shaken.ok()?.ok()?, from))
                        });
                    }
                    Err(_) => tokio::time::sleep(EXHAUSTED).await,
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Door>> for Breaker {
    fn connect_info(stream: IncomingStream<'_, Door>) -> Self {
        stream.io().breaker.clone()
    }
}

impl Line {
    fn new(stream: Stream) -> Self {
        Self { stream, breaker: Breaker(Arc::new(AtomicU8::new(WHOLE))), is_past_head: false }
    }

    /// Returns how much of `bytes` may still go out when the body is to be cut: all of a head, half of a body.
    fn allowed(&mut self, bytes: &[u8]) -> usize {
        if self.is_past_head {
            return bytes.len() / 2;
        }
        let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4);
        self.is_past_head = head.is_some();
        // Head and body in one piece, or a piece of the head.
        head.map_or(bytes.len(), |head| head + (bytes.len() - head) / 2)
    }

    fn stream(self: Pin<&mut Self>) -> Pin<&mut Stream> {
        Pin::new(&mut self.get_mut().stream)
    }
}

impl AsyncRead for Line {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_read(cx, buf)
    }
}

impl AsyncWrite for Line {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let line = self.get_mut();
        match line.breaker.state() {
            WHOLE => Pin::new(&mut line.stream).poll_write(cx, bytes),
            CUT_IN_BODY => {
                let was_past_head = line.is_past_head;
                let allowed = line.allowed(bytes);
                let written = Pin::new(&mut line.stream).poll_write(cx, &bytes[..allowed]);
                if written.is_pending() {
                    line.is_past_head = was_past_head;
                } else if allowed < bytes.len() {
                    // What was taken goes out with the next flush; nothing after it does.
                    line.breaker.cut();
                }
                written
            }
            _ => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream().poll_shutdown(cx)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Encrypted(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Encrypted(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Encrypted(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
