//! What the user wants: strategy files and `engine.toml`, checked whole before anything starts. Never holds a secret in clear.

pub mod document;
pub mod problem;
pub mod schema;
