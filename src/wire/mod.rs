//! Bytes in, bytes out: decimals, JSON, WebSocket, HTTP, TLS records. Pure; no sockets.

pub mod buf;
pub mod decimal;
pub mod http;
pub mod json;
pub mod simd;
pub mod tls;
pub mod ws;
