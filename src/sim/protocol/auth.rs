//! Who asks: API keys, signatures, the time window and listen keys. Secrets stay inside and are never shown.

use super::params::{ApiError, Params};
use crate::sim::order::AccountId;
use crate::unit::Nanos;
use base64::Engine as _;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use ed25519_dalek::{Signature, VerifyingKey};
use ring::hmac;

/// How long a listen key lives without being extended.
pub const LISTEN_KEY_LIFE: Nanos = Nanos::from_secs(3600);

/// Why a key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a public key.
    #[error("the Ed25519 public key of API key `{key}` is not a PEM public key: {why}")]
    PublicKey {
        /// The API key.
        key: String,
        /// What the decoder says.
        why: String,
    },
}

/// An API key of an account.
pub struct Credential {
    key: String,
    secret: hmac::Key,
    public: Option<VerifyingKey>,
    account: AccountId,
    listen_key: String,
    listen_until: Nanos,
}

impl std::fmt::Debug for Credential {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credential").field("key", &self.key).field("account", &self.account).finish_non_exhaustive()
    }
}

/// All API keys.
#[derive(Debug, Default)]
pub struct Credentials(Vec<Credential>);

/// Index of a key in [`Credentials`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct KeyId(pub u8);

impl Credentials {
    /// Adds a key of an account: HMAC with `secret`, and Ed25519 if a public key (PEM) is given.
    ///
    /// # Errors
    /// The public key is not one.
    pub fn add(
        &mut self,
        account: AccountId,
        key: &str,
        secret: &str,
        public_pem: Option<&str>,
    ) -> Result<KeyId, KeyError> {
        let bad = |why: String| KeyError::PublicKey { key: key.to_owned(), why };
        let public = public_pem.map(VerifyingKey::from_public_key_pem).transpose().map_err(|e| bad(e.to_string()))?;
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        // As long as the venue's; made from the secret, so that nobody guesses it and a restart gives the same one.
        let tag = hmac::sign(&secret, b"listen key");
        let listen_key = hex(tag.as_ref());
        let id = KeyId(u8::try_from(self.0.len()).expect("at most 256 keys"));
        self.0.push(Credential { key: key.to_owned(), secret, public, account, listen_key, listen_until: Nanos::ZERO });
        Ok(id)
    }

    fn at(&self, id: KeyId) -> &Credential {
        &self.0[usize::from(id.0)]
    }

    /// Whose key it is.
    #[must_use]
    pub fn account(&self, id: KeyId) -> AccountId {
        self.at(id).account
    }

    /// The API key itself, which is no secret to its owner.
    #[must_use]
    pub fn name(&self, id: KeyId) -> &str {
        &self.at(id).key
    }

    /// The key of that name.
    ///
    /// # Errors
    /// Missing or unknown.
    pub fn find(&self, key: Option<&str>) -> Result<KeyId, ApiError> {
        let key = key.ok_or_else(|| ApiError::with_status(401, -2014, "API-key format invalid."))?;
        let at = self.0.iter().position(|c| c.key == key);
        let at =
            at.ok_or_else(|| ApiError::with_status(401, -2015, "Invalid API-key, IP, or permissions for action."))?;
        Ok(KeyId(at as u8))
    }

    /// Checks `timestamp` and `recvWindow` against the venue's clock.
    ///
    /// # Errors
    /// Missing, too old or too far ahead.
    pub fn check_time(now: Nanos, params: &Params) -> Result<(), ApiError> {
        let timestamp = params.int("timestamp")?.ok_or_else(|| ApiError::missing("timestamp"))?;
        let window = params.int("recvWindow")?.unwrap_or(5000);
        if !(0..=60_000).contains(&window) {
            return Err(ApiError::new(-1131, "recvWindow must be less than 60000"));
        }
        let now = now.as_millis();
        if timestamp >= now + 1000 {
            let msg = "Timestamp for this request was 1000ms ahead of the server's time.";
            return Err(ApiError::new(-1021, msg));
        }
        if now - timestamp > window {
            return Err(ApiError::new(-1021, "Timestamp for this request is outside of the recvWindow."));
        }
        Ok(())
    }

    /// Checks a signature over `payload`: 64 hex digits are HMAC, all else Ed25519 in base64.
    ///
    /// # Errors
    /// It does not fit.
    pub fn check_signature(&self, id: KeyId, payload: &[u8], signature: &str) -> Result<(), ApiError> {
        let wrong = || ApiError::new(-1022, "Signature for this request is not valid.");
        let credential = self.at(id);
        if let Some(tag) = unhex(signature) {
            return hmac::verify(&credential.secret, payload, &tag).map_err(|_| wrong());
        }
        let public = credential.public.as_ref().ok_or_else(wrong)?;
        let bytes = base64::engine::general_purpose::STANDARD.decode(signature).map_err(|_| wrong())?;
        let signature = Signature::from_slice(&bytes).map_err(|_| wrong())?;
        public.verify_strict(payload, &signature).map_err(|_| wrong())
    }

    /// True when the key has an Ed25519 public key, which a log-on needs.
    #[must_use]
    pub fn may_log_on(&self, id: KeyId) -> bool {
        self.at(id).public.is_some()
    }

    /// Starts or extends the listen key of an API key; the same key as long as it lives.
    pub fn start_listening(&mut self, now: Nanos, id: KeyId) -> &str {
        let credential = &mut self.0[usize::from(id.0)];
        credential.listen_until = now + LISTEN_KEY_LIFE;
        &credential.listen_key
    }

    /// Extends it.
    ///
    /// # Errors
    /// There is none.
    pub fn extend_listening(&mut self, now: Nanos, id: KeyId) -> Result<&str, ApiError> {
        if self.at(id).listen_until <= now {
            return Err(ApiError::new(-1125, "This listenKey does not exist."));
        }
        Ok(self.start_listening(now, id))
    }

    /// Ends it.
    pub fn stop_listening(&mut self, id: KeyId) {
        self.0[usize::from(id.0)].listen_until = Nanos::ZERO;
    }

    /// Whose listen key it is, if it lives.
    #[must_use]
    pub fn listener(&self, now: Nanos, listen_key: &str) -> Option<KeyId> {
        let at = self.0.iter().position(|c| c.listen_key == listen_key && c.listen_until > now)?;
        Some(KeyId(at as u8))
    }

    /// The listen key, if it lives.
    #[must_use]
    pub fn listen_key(&self, now: Nanos, id: KeyId) -> Option<&str> {
        let credential = self.at(id);
        (credential.listen_until > now).then_some(credential.listen_key.as_str())
    }

    /// Listen keys that have lapsed by `now`; each is told once.
    pub fn lapsed(&mut self, now: Nanos) -> Vec<(KeyId, String)> {
        let mut gone = Vec::new();
        for (at, credential) in self.0.iter_mut().enumerate() {
            if credential.listen_until > Nanos::ZERO && credential.listen_until <= now {
                credential.listen_until = Nanos::ZERO;
                gone.push((KeyId(at as u8), credential.listen_key.clone()));
            }
        }
        gone
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("a string takes everything");
        text
    })
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks(2)) {
        let digit = |b: u8| char::from(b).to_digit(16);
        *byte = (digit(pair[0])? * 16 + digit(pair[1])?) as u8;
    }
    Some(out)
}

/// What a REST signature is made over: query and body as sent, without the `signature` parameter, joined without a separator.
#[must_use]
pub fn rest_payload(query: &str, body: &str) -> String {
    let without = |text: &str| {
        let kept = text.split('&').filter(|piece| !piece.starts_with("signature=") && !piece.is_empty());
        kept.collect::<Vec<_>>().join("&")
    };
    without(query) + &without(body)
}

/// What a WebSocket API signature is made over: the parameters by name, without `signature`.
#[must_use]
pub fn ws_payload(params: &Params) -> String {
    let mut pairs: Vec<_> = params.0.iter().filter(|(key, _)| key != "signature").collect();
    pairs.sort();
    pairs.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(query: &str) -> Params {
        Params::from_form(query, b"").unwrap()
    }

    #[test]
    fn payloads_are_what_the_client_signed() {
        assert_eq!(rest_payload("b=2&a=1&signature=ff", ""), "b=2&a=1");
        assert_eq!(rest_payload("symbol=X", "side=BUY&signature=ff"), "symbol=Xside=BUY");
        assert_eq!(ws_payload(&params("b=2&signature=x&a=1")), "a=1&b=2");
    }

    #[test]
    fn an_hmac_signature_fits_or_does_not() {
        let mut credentials = Credentials::default();
        // Key, secret and signature of the venue's public documentation example ("HMAC SHA256 signature", futures general info).
        let secret = "2b5eb11e18796d12d88f13dc27dbbd02c2cc51ff7059765ed9821957d82bb4d9";
        let id = credentials.add(AccountId(0), "k", secret, None).unwrap();
        let payload = b"symbol=BTCUSDT&side=BUY&type=LIMIT&quantity=1&price=9000&timeInForce=GTC&recvWindow=5000&timestamp=1591702613943";
        let good = "3c661234138461fcc7a7d8746c6558c9842d4e10870d2ecbedf7777cad694af9";
        assert_eq!(credentials.check_signature(id, payload, good), Ok(()));
        let bad = good.replace('3', "4");
        assert_eq!(credentials.check_signature(id, payload, &bad).unwrap_err().code, -1022);
        assert_eq!(credentials.check_signature(id, payload, "zz").unwrap_err().code, -1022);
        assert_eq!(credentials.find(None).unwrap_err().code, -2014);
        assert_eq!(credentials.find(Some("x")).unwrap_err().code, -2015);
    }

    #[test]
    fn the_time_window_is_one_second_ahead_and_the_window_behind() {
        let now = Nanos::from_millis(1_000_000);
        for (query, code) in [
            ("timestamp=1000999", 0),
            ("timestamp=1001000", -1021),
            ("timestamp=995000", 0),
            ("timestamp=994999", -1021),
            ("timestamp=999000&recvWindow=500", -1021),
            ("timestamp=999000&recvWindow=60001", -1131),
            ("", -1102),
        ] {
            let got = Credentials::check_time(now, &params(query)).map_or_else(|e| e.code, |()| 0);
            assert_eq!(got, code, "{query}");
        }
    }

    #[test]
    fn a_listen_key_lives_an_hour_and_lapses_once() {
        let mut credentials = Credentials::default();
        let id = credentials.add(AccountId(0), "k", "s", None).unwrap();
        let hour = Nanos::from_secs(3600);
        assert_eq!(credentials.extend_listening(Nanos(1), id).unwrap_err().code, -1125);
        let key = credentials.start_listening(Nanos(1), id).to_owned();
        assert_eq!(key.len(), 64);
        assert_eq!(credentials.listener(hour, &key), Some(id));
        assert_eq!(credentials.lapsed(hour + Nanos(1)), [(id, key.clone())]);
        assert_eq!(credentials.lapsed(hour + Nanos(1)), []);
        assert_eq!(credentials.listener(hour + Nanos(1), &key), None);
    }
}
