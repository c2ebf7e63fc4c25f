//! One kind of request as its unchanging text with holes for what differs from order to order. Made once from the request's full
//! list of parameters, then only copied and filled. Never decides what a request says.

use super::order::Params;
use super::sign::{SIGNATURE_MAX, Signer};
use arrayvec::{ArrayString, ArrayVec};

/// Room for one request.
pub const REQUEST_MAX: usize = 1024;

/// What differs from order to order.
#[derive(Clone, Copy)]
enum Hole {
    RequestId,
    ClientId,
    Quantity,
    Price,
    Timestamp,
    Signature,
}

/// What goes into the holes; a request uses those that it has.
#[derive(Default)]
pub struct Values<'a> {
    /// The request's own id.
    pub request_id: &'a str,
    /// The order's id as the venue knows it.
    pub client_id: &'a str,
    /// Decimal text.
    pub quantity: &'a str,
    /// Decimal text.
    pub price: &'a str,
    /// Milliseconds since the epoch.
    pub timestamp: &'a str,
}

/// Text with holes.
#[derive(Default)]
struct Text {
    text: String,
    /// What stands before which byte of the text, in order.
    holes: ArrayVec<(usize, Hole), 6>,
}

impl Text {
    fn put(&mut self, text: &str) {
        self.text.push_str(text);
    }

    fn hole(&mut self, hole: Hole) {
        self.holes.push((self.text.len(), hole));
    }

    fn fill(&self, values: &Values<'_>, signature: &str, out: &mut ArrayString<REQUEST_MAX>) {
        out.clear();
        let mut from = 0;
        for &(at, hole) in &self.holes {
            out.push_str(&self.text[from..at]);
            from = at;
            out.push_str(match hole {
                Hole::RequestId => values.request_id,
                Hole::ClientId => values.client_id,
                Hole::Quantity => values.quantity,
                Hole::Price => values.price,
                Hole::Timestamp => values.timestamp,
                Hole::Signature => signature,
            });
        }
        out.push_str(&self.text[from..]);
    }
}

/// A kind of request of the WebSocket API.
pub struct Template {
    request: Text,
    /// What its signature is over, where it is signed.
    payload: Option<Text>,
}

impl Template {
    /// `params` are those of one such request, time and key included; the values that differ from order to order do not matter.
    #[must_use]
    pub fn new(method: &str, mut params: Params, signed: bool) -> Self {
        // The signature is over the parameters in alphabetical order.
        params.sort_unstable_by_key(|(name, _)| *name);
        let (mut request, mut payload) = (Text::default(), Text::default());
        request.put(r#"{"id":""#);
        request.hole(Hole::RequestId);
        request.put(r#"","method":""#);
        request.put(method);
        request.put(r#"","params":{"#);
        for (at, (name, value)) in params.iter().enumerate() {
            let bare = matches!(*name, "timestamp" | "recvWindow");
            let quote = if bare { "" } else { "\"" };
            let joints = if at == 0 { ["\"", ""] } else { [",\"", "&"] };
            for (text, opening) in
                [(&mut request, [joints[0], name, "\":", quote]), (&mut payload, [joints[1], name, "=", ""])]
            {
                opening.into_iter().for_each(|piece| text.put(piece));
                match *name {
                    "newClientOrderId" | "origClientOrderId" => text.hole(Hole::ClientId),
                    "quantity" => text.hole(Hole::Quantity),
                    "price" => text.hole(Hole::Price),
                    "timestamp" => text.hole(Hole::Timestamp),
                    _ => text.put(value),
                }
            }
            request.put(quote);
        }
        if signed {
            request.put(r#","signature":""#);
            request.hole(Hole::Signature);
            request.put("\"");
        }
        request.put("}}");
        Self { request, payload: signed.then_some(payload) }
    }

    /// The request of one order, signed if it is to be.
    pub fn fill(&self, values: &Values<'_>, signer: &Signer, out: &mut ArrayString<REQUEST_MAX>) {
        let mut signature = [0_u8; SIGNATURE_MAX];
        let len = self.payload.as_ref().map_or(0, |payload| {
            payload.fill(values, "", out);
            signer.sign(out.as_bytes(), &mut signature)
        });
        self.request.fill(values, std::str::from_utf8(&signature[..len]).expect("hex or base64"), out);
    }
}
