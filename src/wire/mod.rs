//! Bytes in, bytes out: decimals, JSON, WebSocket, HTTP, TLS records. Pure; no sockets.

pub mod buf;
pub mod simd;
pub mod tls;
