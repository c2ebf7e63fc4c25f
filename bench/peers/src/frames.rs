//! WebSocket frames out of memory beside fastwebsockets, on the same bytes and reads as beside tungstenite in `spinquote-bench`.

use fastwebsockets::{FragmentCollector, Role, WebSocket};
use spinquote_bench::measure::{Bar, Candidate, Report, race};
use spinquote_bench::wire::{FRAMES, Feed, Ours, sum_bytes, text_frames};
use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The same bytes for an asynchronous reader: always ready.
struct Ready(Feed);

impl AsyncRead for Ready {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = self.0.read(out.initialize_unfilled())?;
        out.advance(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Ready {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Text frames of 200 bytes: one a read, and as many as fit 16 KB a read. No bar names this peer.
pub fn websocket(rounds: usize, report: &mut Report) {
    const FAST: &str = "fastwebsockets";
    let bytes = text_frames();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    for (chunk, what) in [
        (bytes.len() / FRAMES, "WebSocket frame of 200 B, one a read"),
        (1 << 14, "WebSocket frame of 200 B, 16 KB a read"),
    ] {
        let feed = || Feed { bytes: bytes.clone(), at: Default::default(), chunk };
        let (mut ours, theirs) = (Ours::new(feed()), feed());
        let at = theirs.at.clone();
        // Control frames and fragments are handled, as ours does.
        let mut socket = FragmentCollector::new(WebSocket::after_handshake(Ready(theirs), Role::Client));
        let runtime = &runtime;
        let candidates = vec![
            Candidate::new("WsReader", move |(): &mut ()| ours.read_all()),
            Candidate::new(FAST, move |(): &mut ()| {
                at.set(0);
                runtime.block_on(async {
                    let mut sum = 0_u64;
                    for _ in 0..FRAMES {
                        let frame = socket.read_frame().await.expect("a frame");
                        sum = sum.rotate_left(1) ^ sum_bytes(&frame.payload);
                    }
                    sum
                })
            }),
        ];
        let timed = race(rounds, &mut (), |(), _| FRAMES, candidates);
        report.compare(what, "ns/frame", &timed, "WsReader", FAST, None::<Bar>);
    }
}
