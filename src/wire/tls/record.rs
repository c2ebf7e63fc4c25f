//! The record layer after the handshake: keys, nonces, limits, and the few messages that still occur. In place, no allocation.
//!
//! Sources: RFC 8446 sections 4.6, 5, 6 (TLS 1.3); RFC 5246 section 6.2, RFC 5288, RFC 7905 (TLS 1.2).

use super::TlsError;
use crate::wire::buf::{RecvBuf, SendBuf};
use ring::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, ExtractedSecrets, ProtocolVersion};

const HEADER: usize = 5;
const TAG: usize = 16;
const PLAIN_MAX: usize = 1 << 14;
/// Bytes of the nonce that TLS 1.2 sends with each AES-GCM record.
const EXPLICIT_NONCE: usize = 8;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;
const DATA: u8 = 23;

const NEW_SESSION_TICKET: u8 = 4;
const KEY_UPDATE: u8 = 24;

/// A session ticket has two vectors of up to 2^16 bytes; none of real servers comes near this.
const TICKET_MAX: usize = 1 << 16;
/// Key updates, empty records and (TLS 1.2) warnings that a peer may send in a row: more is a flood that only costs time.
const FLOOD: u32 = 32;
/// Sequence numbers never wrap; nobody gets here.
const SEQ_MAX: u64 = u64::MAX - (1 << 16);

/// How a record wraps its plaintext.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// TLS 1.3: type inside, nonce from the sequence number.
    V13,
    /// TLS 1.2 AES-GCM: half of the nonce travels with the record.
    V12Gcm,
    /// TLS 1.2 ChaCha20-Poly1305: nonce from the sequence number.
    V12Chacha,
}

impl Form {
    /// Bytes between the header and the sealed text.
    const fn prefix(self) -> usize {
        if matches!(self, Self::V12Gcm) { EXPLICIT_NONCE } else { 0 }
    }
    /// Bytes between the sealed text and the tag: the inner content type.
    const fn suffix(self) -> usize {
        if matches!(self, Self::V13) { 1 } else { 0 }
    }
    /// All bytes that a record adds to its plaintext.
    const fn overhead(self) -> usize {
        HEADER + self.prefix() + self.suffix() + TAG
    }
    /// Largest length a header may state.
    const fn length_max(self) -> usize {
        if matches!(self, Self::V13) { PLAIN_MAX + 256 } else { PLAIN_MAX + 2048 }
    }
}

/// One direction of the connection.
struct Half {
    key: LessSafeKey,
    iv: [u8; 12],
    /// Records protected by this key so far.
    seq: u64,
    /// Records it may protect: 2^24 for AES-GCM (RFC 8446, section 5.5), unbounded for ChaCha20-Poly1305.
    limit: u64,
}

impl Half {
    fn new(seq: u64, secrets: &ConnectionTrafficSecrets) -> Result<Self, TlsError> {
        let (algorithm, key, iv, limit) = match secrets {
            ConnectionTrafficSecrets::Aes128Gcm { key, iv } => (&aead::AES_128_GCM, key, iv, 1 << 24),
            ConnectionTrafficSecrets::Aes256Gcm { key, iv } => (&aead::AES_256_GCM, key, iv, 1 << 24),
            ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (&aead::CHACHA20_POLY1305, key, iv, SEQ_MAX),
            _ => return Err(rustls::Error::General("a cipher that this record layer does not know".into()).into()),
        };
        let wrong = |_| rustls::Error::General("a key of the wrong length".into());
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::new(algorithm, key.as_ref()).map_err(wrong)?),
            iv: iv.as_ref().try_into().expect("rustls' type has 12 bytes"),
            seq,
            limit,
        })
    }

    /// The initial vector xor the sequence number.
    fn nonce(&self) -> [u8; 12] {
        let mut nonce = self.iv;
        for (byte, seq) in nonce[4..].iter_mut().zip(self.seq.to_be_bytes()) {
            *byte ^= seq;
        }
        nonce
    }
}

/// The bytes that a record authenticates but does not seal: at most 13.
struct Aads([u8; 13], usize);

impl AsRef<[u8]> for Aads {
    fn as_ref(&self) -> &[u8] {
        &self.0[..self.1]
    }
}

/// TLS 1.3 authenticates the header as sent; TLS 1.2 sequence number, type, version and length of the plaintext.
fn aad(form: Form, seq: u64, kind: u8, length: usize) -> Aad<Aads> {
    let [high, low] = (length as u16).to_be_bytes();
    let mut bytes = [0; 13];
    let len = if form == Form::V13 {
        bytes[..5].copy_from_slice(&[kind, 3, 3, high, low]);
        5
    } else {
        bytes[..8].copy_from_slice(&seq.to_be_bytes());
        bytes[8..].copy_from_slice(&[kind, 3, 3, high, low]);
        13
    };
    Aad::from(Aads(bytes, len))
}

/// Derives the next keys when one side updates them.
enum Kernel {
    Client(KernelConnection<ClientConnectionData>),
    Server(KernelConnection<ServerConnectionData>),
}

/// Handshake messages as they come in pieces; they are looked at, not kept.
#[derive(Default)]
struct Message {
    header: [u8; 4],
    have: usize,
    rest: usize,
}

impl Message {
    const fn is_open(&self) -> bool {
        self.have > 0
    }
}

/// How the peer's stream ended.
#[derive(Clone, Copy)]
enum End {
    Closed,
    Failed,
}

/// Keys and state of an established TLS connection.
pub struct TlsRecords {
    form: Form,
    rx: Half,
    tx: Half,
    kernel: Kernel,
    message: Message,
    /// Our keys must be updated before the next data: the peer asked.
    update_wanted: bool,
    key_updates: u32,
    empties: u32,
    warnings: u32,
    rx_end: Option<End>,
    tx_ended: bool,
}

impl TlsRecords {
    pub(super) fn client(
        secrets: ExtractedSecrets,
        kernel: KernelConnection<ClientConnectionData>,
    ) -> Result<Self, TlsError> {
        let version = kernel.protocol_version();
        Self::new(secrets, version, Kernel::Client(kernel))
    }

    pub(super) fn server(
        secrets: ExtractedSecrets,
        kernel: KernelConnection<ServerConnectionData>,
    ) -> Result<Self, TlsError> {
        let version = kernel.protocol_version();
        Self::new(secrets, version, Kernel::Server(kernel))
    }

    fn new(secrets: ExtractedSecrets, version: ProtocolVersion, kernel: Kernel) -> Result<Self, TlsError> {
        let form = match (version, &secrets.rx.1) {
            (ProtocolVersion::TLSv1_3, _) => Form::V13,
            (_, ConnectionTrafficSecrets::Chacha20Poly1305 { .. }) => Form::V12Chacha,
            _ => Form::V12Gcm,
        };
        Ok(Self {
            form,
            rx: Half::new(secrets.rx.0, &secrets.rx.1)?,
            tx: Half::new(secrets.tx.0, &secrets.tx.1)?,
            kernel,
            message: Message::default(),
            update_wanted: false,
            key_updates: 0,
            empties: 0,
            warnings: 0,
            rx_end: None,
            tx_ended: false,
        })
    }

    /// The version agreed.
    #[must_use]
    pub fn version(&self) -> ProtocolVersion {
        match &self.kernel {
            Kernel::Client(kernel) => kernel.protocol_version(),
            Kernel::Server(kernel) => kernel.protocol_version(),
        }
    }

    pub(super) fn open(&mut self, buf: &mut RecvBuf, reply: &mut SendBuf) -> Result<(), TlsError> {
        match self.rx_end {
            None => {}
            Some(End::Closed) => return Err(TlsError::Closed),
            Some(End::Failed) => return Err(TlsError::Ended),
        }
        match self.open_all(buf, reply) {
            Ok(()) => Ok(()),
            Err(error) => {
                self.rx_end = Some(if matches!(error, TlsError::Closed) { End::Closed } else { End::Failed });
                if let Some(description) = error.alert()
                    && !self.tx_ended
                {
                    // The peer learns why where there is room for it; the connection ends in any case.
                    let _ = self.seal_record(ALERT, &[2, description], reply);
                    self.tx_ended = true;
                }
                Err(error)
            }
        }
    }

    fn open_all(&mut self, buf: &mut RecvBuf, reply: &mut SendBuf) -> Result<(), TlsError> {
        let form = self.form;
        while let &[kind, major, minor, high, low, ..] = buf.raw() {
            let length = usize::from(u16::from_be_bytes([high, low]));
            self.check_header(kind, u16::from_be_bytes([major, minor]), length)?;
            let whole = HEADER + length;
            let Some(record) = buf.raw().get(..whole) else { return Ok(()) };

            let (seq, body) = (self.rx.seq, HEADER + form.prefix());
            if seq >= SEQ_MAX {
                return Err(TlsError::KeyExhausted(seq));
            }
            let (nonce, aad) = if form == Form::V12Gcm {
                let mut nonce = self.rx.iv;
                nonce[4..].copy_from_slice(&record[HEADER..body]);
                (nonce, aad(form, seq, kind, length - EXPLICIT_NONCE - TAG))
            } else {
                let authenticated = if form == Form::V13 { length } else { length - TAG };
                (self.rx.nonce(), aad(form, seq, kind, authenticated))
            };
            let (region, offset) = buf.record(body, whole);
            let nonce = Nonce::assume_unique_for_key(nonce);
            let plain =
                self.rx.key.open_within(nonce, aad, region, offset..).map_err(|_| TlsError::BadRecord { seq })?;
            self.rx.seq += 1;

            let (kind, n) = if form == Form::V13 { inner_type(plain)? } else { (kind, plain.len()) };
            if n > PLAIN_MAX {
                return Err(TlsError::PlaintextTooLong { length: n });
            }
            if kind == DATA {
                if self.message.is_open() {
                    return Err(TlsError::HandshakeInterrupted);
                }
                self.count_data(n)?;
                buf.opened(body, whole, n);
            } else {
                let outcome = self.control(kind, &plain[..n], reply);
                buf.skip_raw(whole);
                outcome?;
            }
        }
        Ok(())
    }

    fn check_header(&self, kind: u8, version: u16, length: usize) -> Result<(), TlsError> {
        let allowed = if self.form == Form::V13 { kind == DATA } else { matches!(kind, ALERT | HANDSHAKE | DATA) };
        if !allowed {
            return Err(TlsError::RecordType(kind));
        }
        if version != 0x0303 {
            return Err(TlsError::RecordVersion(version));
        }
        if length > self.form.length_max() {
            return Err(TlsError::RecordTooLong { length, limit: self.form.length_max() });
        }
        let least = self.form.overhead() - HEADER;
        if length < least {
            return Err(TlsError::RecordTooShort { length, least });
        }
        Ok(())
    }

    fn count_data(&mut self, n: usize) -> Result<(), TlsError> {
        if n == 0 {
            self.empties += 1;
            return if self.empties > FLOOD { Err(TlsError::EmptyFlood(FLOOD)) } else { Ok(()) };
        }
        (self.empties, self.key_updates, self.warnings) = (0, 0, 0);
        Ok(())
    }

    /// Anything but data.
    #[cold]
    fn control(&mut self, kind: u8, plain: &[u8], reply: &mut SendBuf) -> Result<(), TlsError> {
        match kind {
            ALERT if self.message.is_open() => Err(TlsError::HandshakeInterrupted),
            ALERT => self.alert(plain),
            HANDSHAKE if self.form == Form::V13 => self.handshake(plain, reply),
            // TLS 1.2: only a renegotiation could begin here, and it is refused.
            HANDSHAKE => Err(TlsError::HandshakeMessage(plain.first().copied().unwrap_or(0))),
            _ => Err(TlsError::Content(kind)),
        }
    }

    fn alert(&mut self, plain: &[u8]) -> Result<(), TlsError> {
        const WARNING: u8 = 1;
        const CLOSE_NOTIFY: u8 = 0;
        const USER_CANCELED: u8 = 90;
        let &[level, description] = plain else { return Err(TlsError::BadAlert) };
        match (level, description) {
            (_, CLOSE_NOTIFY) => Err(TlsError::Closed),
            // A close_notify follows (RFC 8446, section 6.1).
            (_, USER_CANCELED) => self.count_warning(),
            // TLS 1.3 has no warnings: whatever the level says, the connection is over.
            (WARNING, _) if self.form != Form::V13 => self.count_warning(),
            _ => Err(TlsError::Alert { description }),
        }
    }

    fn count_warning(&mut self) -> Result<(), TlsError> {
        self.warnings += 1;
        if self.warnings > FLOOD { Err(TlsError::WarningFlood(FLOOD)) } else { Ok(()) }
    }

    /// Post-handshake messages of TLS 1.3; they may span records and share one.
    fn handshake(&mut self, mut plain: &[u8], reply: &mut SendBuf) -> Result<(), TlsError> {
        if plain.is_empty() {
            // RFC 8446, section 5.1: no zero-length fragments of handshake content.
            return Err(TlsError::HandshakeInterrupted);
        }
        while let Some((&byte, rest)) = plain.split_first() {
            if self.message.have < 4 {
                self.message.header[self.message.have] = byte;
                self.message.have += 1;
                plain = rest;
                if self.message.have < 4 {
                    continue;
                }
                let [kind, high, middle, low] = self.message.header;
                self.message.rest = u32::from_be_bytes([0, high, middle, low]) as usize;
                self.check_message(kind)?;
                if self.message.rest == 0 {
                    self.message = Message::default();
                }
                continue;
            }
            if self.message.header[0] == KEY_UPDATE {
                // The keys change with this byte, so it must be the last of its record (RFC 8446, section 5.1).
                if !rest.is_empty() {
                    return Err(TlsError::KeyUpdate);
                }
                self.message = Message::default();
                return self.key_update(byte, reply);
            }
            let take = self.message.rest.min(plain.len());
            self.message.rest -= take;
            plain = &plain[take..];
            if self.message.rest == 0 {
                self.message = Message::default();
            }
        }
        Ok(())
    }

    fn check_message(&self, kind: u8) -> Result<(), TlsError> {
        let length = self.message.rest;
        match kind {
            NEW_SESSION_TICKET if matches!(self.kernel, Kernel::Client(_)) => {
                if length > TICKET_MAX {
                    return Err(TlsError::HandshakeTooLong { length, limit: TICKET_MAX });
                }
                Ok(())
            }
            KEY_UPDATE if length == 1 => Ok(()),
            KEY_UPDATE => Err(TlsError::KeyUpdate),
            _ => Err(TlsError::HandshakeMessage(kind)),
        }
    }

    fn key_update(&mut self, request: u8, reply: &mut SendBuf) -> Result<(), TlsError> {
        if request > 1 {
            return Err(TlsError::KeyUpdate);
        }
        self.key_updates += 1;
        if self.key_updates > FLOOD {
            return Err(TlsError::KeyUpdateFlood(FLOOD));
        }
        let (seq, secrets) = match &mut self.kernel {
            Kernel::Client(kernel) => kernel.update_rx_secret()?,
            Kernel::Server(kernel) => kernel.update_rx_secret()?,
        };
        self.rx = Half::new(seq, &secrets)?;
        // One answer serves several requests (RFC 8446, section 4.6.3); where `reply` has no room it goes before the next data.
        self.update_wanted |= request == 1;
        if self.update_wanted && !self.tx_ended && reply.free() > self.form.overhead() + 5 {
            self.update_keys(reply)?;
        }
        Ok(())
    }

    /// Announces new keys for what we send and changes to them (TLS 1.3 only).
    ///
    /// # Errors
    /// TLS 1.2, or no room in `out`.
    pub fn update_keys(&mut self, out: &mut SendBuf) -> Result<(), TlsError> {
        if self.form != Form::V13 {
            return Err(TlsError::KeyExhausted(self.tx.seq));
        }
        self.seal_record(HANDSHAKE, &[KEY_UPDATE, 0, 0, 1, 0], out)?;
        let (seq, secrets) = match &mut self.kernel {
            Kernel::Client(kernel) => kernel.update_tx_secret()?,
            Kernel::Server(kernel) => kernel.update_tx_secret()?,
        };
        let limit = self.tx.limit;
        self.tx = Half { limit, ..Half::new(seq, &secrets)? };
        self.update_wanted = false;
        Ok(())
    }

    pub(super) fn seal(&mut self, plain: &[u8], out: &mut SendBuf) -> Result<(), TlsError> {
        if self.tx_ended {
            return Err(TlsError::Ended);
        }
        let records = plain.len().div_ceil(PLAIN_MAX);
        // The last record of a key is kept for the announcement of the next one, or for an alert.
        let worn_out = self.tx.seq + records as u64 >= self.tx.limit;
        if worn_out && self.form != Form::V13 {
            return Err(TlsError::KeyExhausted(self.tx.seq));
        }
        let update = self.update_wanted || worn_out;
        let announcement = if update { self.form.overhead() + 5 } else { 0 };
        out.reserve(plain.len() + records * self.form.overhead() + announcement)?;
        if update {
            self.update_keys(out)?;
        }
        for chunk in plain.chunks(PLAIN_MAX) {
            self.seal_record(DATA, chunk, out)?;
        }
        Ok(())
    }

    pub(super) fn close(&mut self, out: &mut SendBuf) -> Result<(), TlsError> {
        if self.tx_ended {
            return Err(TlsError::Ended);
        }
        self.seal_record(ALERT, &[1, 0], out)?;
        self.tx_ended = true;
        Ok(())
    }

    fn seal_record(&mut self, kind: u8, plain: &[u8], out: &mut SendBuf) -> Result<(), TlsError> {
        let (form, n) = (self.form, plain.len());
        debug_assert!(n <= PLAIN_MAX);
        if self.tx.seq >= self.tx.limit {
            return Err(TlsError::KeyExhausted(self.tx.seq));
        }
        let whole = n + form.overhead();
        let length = whole - HEADER;
        let record = out.reserve(whole)?;
        let outer = if form == Form::V13 { DATA } else { kind };
        let [high, low] = (length as u16).to_be_bytes();
        record[..HEADER].copy_from_slice(&[outer, 3, 3, high, low]);

        let nonce = self.tx.nonce();
        let body = HEADER + form.prefix();
        if form == Form::V12Gcm {
            record[HEADER..body].copy_from_slice(&nonce[4..]);
        }
        record[body..body + n].copy_from_slice(plain);
        if form == Form::V13 {
            record[body + n] = kind;
        }
        let aad = aad(form, self.tx.seq, outer, if form == Form::V13 { length } else { n });
        let (text, tag) = record[body..].split_at_mut(n + form.suffix());
        let sealed = self.tx.key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, text);
        tag.copy_from_slice(sealed.expect("a record is far below the cipher's length limit").as_ref());
        self.tx.seq += 1;
        out.commit(whole);
        Ok(())
    }

    /// Lowers the number of records after which our key is changed, so that a test need not send 16 million.
    #[cfg(test)]
    pub(super) fn set_key_limit(&mut self, limit: u64) {
        self.tx.limit = limit;
    }

    /// Seals any content, so that a test can play a peer that breaks the rules.
    #[cfg(test)]
    pub(super) fn seal_any(&mut self, kind: u8, plain: &[u8], out: &mut SendBuf) {
        self.seal_record(kind, plain, out).unwrap();
    }
}

/// Splits a TLS 1.3 inner plaintext: content, type, zeros. Returns type and length of the content.
fn inner_type(plain: &[u8]) -> Result<(u8, usize), TlsError> {
    let at = plain.iter().rposition(|&byte| byte != 0).ok_or(TlsError::NoContentType)?;
    // RFC 8446, section 5.4: the padding counts towards the limit.
    if plain.len() > PLAIN_MAX + 1 {
        return Err(TlsError::PlaintextTooLong { length: plain.len() - 1 });
    }
    Ok((plain[at], at))
}
