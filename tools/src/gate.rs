//! Who may read what `sq web` and `sq prom` serve: loopback by default; another interface only when told so, and then with a token.
//! The token comes from the environment or a file, never from the command line, and is never printed.

use anyhow::{Context, Result, bail};
use clap::Args;
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// Where the token may stand besides a file.
pub const TOKEN_ENV: &str = "SPINQUOTE_TOKEN";
const SHORTEST_TOKEN: usize = 16;

/// The arguments.
#[derive(Debug, Args)]
pub struct GateArgs {
    /// Serve on an interface that others can reach. Needs a token: --token-file, or SPINQUOTE_TOKEN in the environment.
    #[arg(long)]
    allow_remote: bool,
    /// A file, readable by its owner only, with the token that a reader must bring (`Authorization: Bearer TOKEN`).
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// A token, or none needed. Its `Debug` says nothing.
pub struct Gate {
    token: Option<String>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.token.is_some() { "Gate(a token)" } else { "Gate(open)" })
    }
}

impl GateArgs {
    /// Checks the arguments against the address to serve on.
    pub fn of(&self, listen: SocketAddr) -> Result<Gate> {
        let remote = !listen.ip().is_loopback();
        if remote && !self.allow_remote {
            bail!(
                "{listen} can be reached by others; --allow-remote serves there, with a token from --token-file FILE or {TOKEN_ENV}; \
                 the default is loopback"
            );
        }
        let token = match &self.token_file {
            Some(path) => {
                let file = std::fs::metadata(path).with_context(|| path.display().to_string())?;
                let mode = file.mode() & 0o777;
                if mode & 0o077 != 0 {
                    let path = path.display();
                    bail!("{path}: open to others (mode {mode:03o}); close it with: chmod 600 '{path}'");
                }
                let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
                Some((text.trim().to_owned(), path.display().to_string()))
            }
            None => match std::env::var(TOKEN_ENV) {
                Ok(token) => Some((token.trim().to_owned(), TOKEN_ENV.to_owned())),
                Err(_) => None,
            },
        };
        match token {
            None if remote => {
                bail!("{listen} can be reached by others: --token-file FILE or {TOKEN_ENV} must give a token")
            }
            Some((token, place)) if token.len() < SHORTEST_TOKEN => {
                bail!("{place}: the token has {} characters; want {SHORTEST_TOKEN} or more", token.len())
            }
            found => Ok(Gate { token: found.map(|(token, _)| token) }),
        }
    }
}

impl Gate {
    /// Everybody who reaches the address may read.
    pub const fn is_open(&self) -> bool {
        self.token.is_none()
    }

    /// The value of an `Authorization` header brings the token, or none is needed.
    pub fn admits(&self, authorization: Option<&str>) -> bool {
        self.is_open()
            || authorization
                .and_then(|value| value.trim().strip_prefix("Bearer "))
                .is_some_and(|given| self.is_token(given.trim()))
    }

    /// It is the token.
    pub fn is_token(&self, given: &str) -> bool {
        self.token.as_ref().is_some_and(|token| same(token.as_bytes(), given.as_bytes()))
    }
}

/// Compares in a time that does not tell where they differ.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_token_is_admitted_and_it_is_not_shown() {
        let gate = Gate { token: Some("0123456789abcdef".to_owned()) };
        let cases = [
            (Some("Bearer 0123456789abcdef"), true),
            (Some(" Bearer  0123456789abcdef "), true),
            (Some("Bearer 0123456789abcdeX"), false),
            (Some("Bearer 0123456789abcde"), false),
            (Some("0123456789abcdef"), false),
            (Some("Bearer "), false),
            (None, false),
        ];
        for (header, admitted) in cases {
            assert_eq!(gate.admits(header), admitted, "{header:?}");
        }
        assert_eq!(format!("{gate:?}"), "Gate(a token)");
        let open = Gate { token: None };
        assert!(open.admits(None) && !open.is_token(""));
    }
}
