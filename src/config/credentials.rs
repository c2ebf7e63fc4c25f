//! The API key and its secret, from the environment or a file that only its owner can read. Never printed, logged or journalled.

use crate::config::engine::{CredentialKind, CredentialSettings, CredentialSource};
use crate::config::problem::line_of;
use secrecy::SecretString;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// What signs our requests. `Debug` shows neither part.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// How requests are signed.
    pub kind: CredentialKind,
    /// The API key.
    pub key: SecretString,
    /// The shared secret (HMAC) or the private key in PEM (Ed25519).
    pub secret: SecretString,
}

/// Why there are no credentials. No variant holds any part of a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// The environment variable is missing.
    #[error("the environment variable {name} is not set; set it to {holds}, or use credentials.source = \"file\"")]
    Missing {
        /// The variable.
        name: String,
        /// What it should hold.
        holds: &'static str,
    },
    /// The variable or the file's key holds nothing.
    #[error("{name} is empty; it should hold {holds}")]
    Empty {
        /// The variable, or the file and its key.
        name: String,
        /// What it should hold.
        holds: &'static str,
    },
    /// `credentials.source = "file"` without a file.
    #[error("credentials.source is \"file\" but credentials.file is not set")]
    NoFile,
    /// The file cannot be read.
    #[error("the credentials file {path} cannot be read: {reason}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        reason: String,
    },
    /// Others than the owner can read or change the file.
    #[error("the credentials file {path} is open to others (mode {mode:03o}); close it with: chmod 600 '{path}'")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file is not what it should be.
    #[error(
        "the credentials file {path} is not valid{place}; it should hold two lines: key = \"...\" and secret = \"...\""
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// ` in line N: what`, without any of its content.
        place: String,
    },
    /// The secret is not a private key in PEM.
    #[error("{name} is not an Ed25519 private key in PEM (it begins with -----BEGIN PRIVATE KEY-----)")]
    NotPem {
        /// The variable, or the file and its key.
        name: String,
    },
}

const KEY: &str = "the API key";
const SECRET: &str = "the API secret, or the private key in PEM for credentials.kind = \"ed25519\"";
/// A PEM key has some hundred bytes; anything larger is another file.
const BYTES_MAX: u64 = 64 << 10;

/// Finds the credentials that the settings name, in the process's environment or in the file.
///
/// # Errors
/// What is missing or wrong, by the name of the variable or file.
pub fn find(settings: &CredentialSettings) -> Result<Credentials, CredentialError> {
    find_in(settings, |name| std::env::var(name).ok().map(Zeroizing::new))
}

/// Looks at a credentials file as a run would, and keeps nothing of it.
///
/// # Errors
/// What is wrong with it.
pub fn check_file(path: &Path) -> Result<(), CredentialError> {
    let settings =
        CredentialSettings { source: CredentialSource::File, file: Some(path.into()), ..CredentialSettings::default() };
    find(&settings).map(drop)
}

fn find_in(
    settings: &CredentialSettings,
    environment: impl Fn(&str) -> Option<Zeroizing<String>>,
) -> Result<Credentials, CredentialError> {
    let (key_name, secret_name, key, secret) = match settings.source {
        CredentialSource::Env => {
            let look = |name: &String, holds| {
                environment(name).ok_or_else(|| CredentialError::Missing { name: name.clone(), holds })
            };
            let (key, secret) = (look(&settings.key_env, KEY)?, look(&settings.secret_env, SECRET)?);
            (settings.key_env.clone(), settings.secret_env.clone(), key, secret)
        }
        CredentialSource::File => {
            let path = settings.file.as_deref().ok_or(CredentialError::NoFile)?;
            let (key, secret) = read_file(path)?;
            (format!("{}: key", path.display()), format!("{}: secret", path.display()), key, secret)
        }
    };
    let (key, secret) = (key.trim(), secret.trim());
    if key.is_empty() {
        return Err(CredentialError::Empty { name: key_name, holds: KEY });
    }
    if secret.is_empty() {
        return Err(CredentialError::Empty { name: secret_name, holds: SECRET });
    }
    if settings.kind == CredentialKind::Ed25519 && !secret.starts_with("-----BEGIN PRIVATE KEY-----") {
        return Err(CredentialError::NotPem { name: secret_name });
    }
    Ok(Credentials { kind: settings.kind, key: key.into(), secret: secret.into() })
}

/// Reads `key` and `secret`, after the opened file (not only its name) is known to be closed to others.
fn read_file(path: &Path) -> Result<(Zeroizing<String>, Zeroizing<String>), CredentialError> {
    let unreadable =
        |error: std::io::Error| CredentialError::Unreadable { path: path.into(), reason: error.to_string() };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if metadata.is_dir() {
        return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(CredentialError::Open { path: path.into(), mode });
    }
    let malformed = |place: String| CredentialError::Malformed { path: path.into(), place };
    let mut text = Zeroizing::new(String::with_capacity(BYTES_MAX as usize + 1));
    file.take(BYTES_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > BYTES_MAX {
        return Err(malformed(": it is larger than 64 KiB".to_owned()));
    }
    let table = toml::de::DeTable::parse(&text).map_err(|error| {
        let line = error.span().map_or(1, |span| line_of(&text, span.start));
        malformed(format!(" in line {line}"))
    })?;
    let (mut key, mut secret) = (None, None);
    for (name, value) in table.get_ref() {
        let line = line_of(&text, name.span().start);
        let held = match name.get_ref().as_ref() {
            "key" => &mut key,
            "secret" => &mut secret,
            _ => return Err(malformed(format!(" in line {line}: unknown key"))),
        };
        let word = value.get_ref().as_str().ok_or_else(|| malformed(format!(" in line {line}: not a quoted text")))?;
        *held = Some(Zeroizing::new(word.to_owned()));
    }
    match (key, secret) {
        (Some(key), Some(secret)) => Ok((key, secret)),
        (None, _) => Err(malformed(": key is missing".to_owned())),
        (_, None) => Err(malformed(": secret is missing".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::engine::EngineSettings;
    use secrecy::ExposeSecret;
    use std::os::unix::fs::PermissionsExt;

    const PEM: &str = "-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----";

    fn settings() -> CredentialSettings {
        EngineSettings::with_defaults().credentials
    }

    fn file_with(text: &str, mode: u32) -> (tempfile::TempDir, CredentialSettings) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials.toml");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let settings = CredentialSettings { source: CredentialSource::File, file: Some(path), ..settings() };
        (dir, settings)
    }

    #[test]
    fn the_environment_is_asked_for_the_named_variables() {
        let environment = |name: &str| match name {
            "SPINQUOTE_API_KEY" => Some(Zeroizing::new("abc\n".to_owned())),
            "SPINQUOTE_API_SECRET" => Some(Zeroizing::new("hunter2".to_owned())),
            _ => None,
        };
        let found = find_in(&settings(), environment).unwrap();
        assert_eq!((found.key.expose_secret(), found.secret.expose_secret()), ("abc", "hunter2"));
        let shown = format!("{found:?}");
        assert!(!shown.contains("hunter2") && !shown.contains("abc"), "{shown}");
        let other = CredentialSettings { secret_env: "OTHER".into(), ..settings() };
        let error = find_in(&other, environment).unwrap_err();
        assert!(error.to_string().contains("the environment variable OTHER is not set"), "{error}");
        let pem = CredentialSettings { kind: CredentialKind::Ed25519, ..settings() };
        let error = find_in(&pem, environment).unwrap_err();
        assert_eq!(error, CredentialError::NotPem { name: "SPINQUOTE_API_SECRET".into() });
        let error = find_in(&settings(), |_| Some(Zeroizing::new(" ".to_owned()))).unwrap_err();
        assert_eq!(error, CredentialError::Empty { name: "SPINQUOTE_API_KEY".into(), holds: KEY });
    }

    #[test]
    fn a_file_must_be_closed_to_others() {
        for mode in [0o644, 0o640, 0o604, 0o620, 0o602] {
            let (_dir, settings) = file_with("key = \"abc\"\nsecret = \"hunter2\"\n", mode);
            let error = find(&settings).unwrap_err();
            assert!(matches!(error, CredentialError::Open { .. }), "{mode:o}: {error}");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        let (_dir, settings) = file_with("key = \"abc\"\nsecret = \"hunter2\"\n", 0o600);
        assert_eq!(find(&settings).unwrap().secret.expose_secret(), "hunter2");
        let (_dir, settings) = file_with(&format!("key = \"abc\"\nsecret = \"\"\"\n{PEM}\n\"\"\"\n"), 0o400);
        let settings = CredentialSettings { kind: CredentialKind::Ed25519, ..settings };
        assert_eq!(find(&settings).unwrap().secret.expose_secret(), PEM);
    }

    #[test]
    fn a_folder_is_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = check_file(dir.path()).unwrap_err().to_string();
        assert!(error.contains("cannot be read") && error.contains("directory"), "{error}");
    }

    #[test]
    fn a_bad_file_is_named_without_its_content() {
        for (text, part) in [
            ("key = \"abc\"\n", "secret is missing"),
            ("secret = \"hunter2\"\n", "key is missing"),
            ("key = \"abc\"\nsecret = hunter2\n", "in line 2"),
            ("key = \"abc\"\nsecret = \"hunter2\"\nhunter2 = 1\n", "in line 3: unknown key"),
            ("key = 5\nsecret = \"hunter2\"\n", "in line 1: not a quoted text"),
        ] {
            let (_dir, settings) = file_with(text, 0o600);
            let error = find(&settings).unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("credentials.toml"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let missing = CredentialSettings { file: Some("/nonexistent/c.toml".into()), ..file_with("", 0o600).1 };
        assert!(find(&missing).unwrap_err().to_string().contains("/nonexistent/c.toml cannot be read"));
        assert_eq!(find(&CredentialSettings { file: None, ..missing }).unwrap_err(), CredentialError::NoFile);
    }
}
