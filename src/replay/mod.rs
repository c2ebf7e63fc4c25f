//! The past again: recordings played, journals replayed bit for bit. Never talks to a venue.
