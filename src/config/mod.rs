//! What the user wants: strategy files and `engine.toml`, checked whole before anything starts. Never holds a secret in clear.

pub mod credentials;
pub mod document;
pub mod engine;
mod engine_keys;
pub mod funding_aware;
pub mod load;
pub mod perpetual;
pub mod pmm;
pub mod problem;
pub mod reference;
pub mod reload;
pub mod schema;
pub mod value;
