//! Signatures of the venue: HMAC-SHA256 in hex or Ed25519 in base64, over the exact text that is sent. Never shows a secret.

use super::client_id::hex;
use crate::unit::Nanos;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::Signer as _;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use secrecy::{ExposeSecret, SecretString};

/// Which kind of key the account has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KeyKind {
    /// A shared secret; each request is signed.
    Hmac,
    /// A private key in PKCS#8 PEM; a WebSocket connection logs on once.
    Ed25519,
}

/// An account's key pair as the user gave it.
#[derive(Clone)]
pub struct Credentials {
    /// Names the key; sent in clear, but shown to nobody.
    pub api_key: SecretString,
    /// The shared secret, or the PEM.
    pub secret: SecretString,
    /// What `secret` is.
    pub kind: KeyKind,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Credentials({:?}, hidden)", self.kind)
    }
}

/// The secret is not a key of its kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the secret is not an Ed25519 private key in PKCS#8 PEM form (-----BEGIN PRIVATE KEY-----)")]
pub struct BadKey;

enum Key {
    Hmac(ring::hmac::Key),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// A prepared key: the HMAC pads are hashed once.
pub struct Signer {
    key: Key,
    api_key: SecretString,
}

/// Longest signature text: 64 hex digits, or 88 of base64.
pub const SIGNATURE_MAX: usize = 88;

impl Signer {
    /// Prepares the key.
    ///
    /// # Errors
    /// The secret is not a key of its kind; the text of the secret is not in the error.
    pub fn new(credentials: &Credentials) -> Result<Self, BadKey> {
        let secret = credentials.secret.expose_secret();
        let key = match credentials.kind {
            KeyKind::Hmac => Key::Hmac(ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes())),
            KeyKind::Ed25519 => {
                Key::Ed25519(Box::new(ed25519_dalek::SigningKey::from_pkcs8_pem(secret).map_err(|_| BadKey)?))
            }
        };
        Ok(Self { key, api_key: credentials.api_key.clone() })
    }

    /// The public name of the key.
    #[must_use]
    pub fn api_key(&self) -> &str {
        self.api_key.expose_secret()
    }

    /// The kind of the key.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        match self.key {
            Key::Hmac(_) => KeyKind::Hmac,
            Key::Ed25519(_) => KeyKind::Ed25519,
        }
    }

    /// Signs `payload` into `out`; returns the length of the text.
    pub fn sign(&self, payload: &[u8], out: &mut [u8; SIGNATURE_MAX]) -> usize {
        match &self.key {
            Key::Hmac(key) => {
                let tag = ring::hmac::sign(key, payload);
                let (words, _) = tag.as_ref().as_chunks::<4>();
                for (place, word) in out.chunks_exact_mut(8).zip(words) {
                    place.copy_from_slice(&hex(u32::from_be_bytes(*word)));
                }
                64
            }
            Key::Ed25519(key) => {
                let signature = key.sign(payload).to_bytes();
                BASE64.encode_slice(signature, out).expect("88 characters of base64 for 64 bytes")
            }
        }
    }

    /// `query` with timestamp and signature behind it, ready for a URL. The order of the parameters stays as it is.
    #[must_use]
    pub fn signed_query(&self, query: &str, timestamp_ms: i64, recv_window: Nanos) -> String {
        let joint = if query.is_empty() { "" } else { "&" };
        let recv_window = recv_window.as_millis();
        let mut text = format!("{query}{joint}recvWindow={recv_window}&timestamp={timestamp_ms}");
        let mut signature = [0_u8; SIGNATURE_MAX];
        let len = self.sign(text.as_bytes(), &mut signature);
        text.push_str("&signature=");
        for &byte in &signature[..len] {
            // Base64 has three characters that a URL may not.
            match byte {
                b'+' => text.push_str("%2B"),
                b'/' => text.push_str("%2F"),
                b'=' => text.push_str("%3D"),
                _ => text.push(char::from(byte)),
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hmac(secret: &str) -> Credentials {
        Credentials { api_key: "key".into(), secret: secret.into(), kind: KeyKind::Hmac }
    }

    #[test]
    fn hmac_equals_a_known_answer() {
        // printf 'symbol=BTCUSDT&recvWindow=5000&timestamp=1591702613943' | openssl dgst -sha256 -hmac secret
        let signer = Signer::new(&hmac("secret")).unwrap();
        let query = signer.signed_query("symbol=BTCUSDT", 1_591_702_613_943, Nanos::from_secs(5));
        assert_eq!(
            query,
            concat!(
                "symbol=BTCUSDT&recvWindow=5000&timestamp=1591702613943&signature=",
                "36294a53f6bf876a70c41cd971ba175585c56c241563e293f91290a26a4cefaf"
            )
        );
    }

    #[test]
    fn a_secret_is_never_shown_and_a_wrong_one_is_said() {
        let mut credentials = hmac("topsecret");
        assert!(!format!("{credentials:?}").contains("topsecret"));
        credentials.kind = KeyKind::Ed25519;
        assert_eq!(Signer::new(&credentials).err(), Some(BadKey));
    }

    #[test]
    fn an_ed25519_signature_verifies() {
        use ed25519_dalek::pkcs8::EncodePrivateKey;
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        let pem = key.to_pkcs8_pem(Default::default()).unwrap();
        let credentials = Credentials { api_key: "k".into(), secret: pem.as_str().into(), kind: KeyKind::Ed25519 };
        let mut out = [0; SIGNATURE_MAX];
        let len = Signer::new(&credentials).unwrap().sign(b"a=1", &mut out);
        let bytes: [u8; 64] = BASE64.decode(&out[..len]).unwrap().try_into().unwrap();
        assert!(key.verify(b"a=1", &ed25519_dalek::Signature::from_bytes(&bytes)).is_ok());
    }
}
