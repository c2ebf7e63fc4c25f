//! `spinquote run`: a strategy at the venue that engine.toml names, or on paper with its live market data.

use super::{demo, paper, trade};
use crate::cli::RunArgs;
use crate::diagnose;
use anyhow::{Context, Result, bail};
use spinquote::config::credentials;
use spinquote::config::engine::{CredentialKind, EngineSettings};
use spinquote::config::load::{self, Target};
use spinquote::engine::clock::wall;
use spinquote::engine::housekeeper::CONNECTION_LIFE;
use spinquote::engine::wiring::{Launch, new_run_dir};
use spinquote::venue::binance::usdm::sign::{Credentials, KeyKind};
use std::process::ExitCode;

pub fn run(args: &RunArgs) -> Result<ExitCode> {
    let settings = engine(&args.engine)?;
    trade::log(&settings.log.level);
    let text = load::read_text(&args.strategy).map_err(|problem| anyhow::anyhow!("{problem}"))?;
    let (text, strategy) = demo::parse(&args.strategy.display().to_string(), text, Target::Venue)?;
    if args.paper {
        return paper::run(args, settings, text, &strategy);
    }
    let interrupted = trade::interrupted()?;
    let Keys { credentials, ca_pem } = keys(&settings)?;
    let run_dir = args.run_dir.clone().unwrap_or_else(|| new_run_dir(&settings.journal.dir, wall()));
    let launch = Launch {
        credentials,
        ca_pem,
        symbol: settings.venue.symbol.clone().unwrap_or_else(|| strategy.symbol()),
        leverage: strategy.leverage(),
        hedge: strategy.hedge(),
        strategy: text,
        run_dir,
        connection_life: CONNECTION_LIFE,
        description: serde_json::json!({"command": "run", "venue": settings.venue.rest_url}),
        settings,
    };
    trade::run(launch, args.run_for, args.json, &interrupted, || false)
}

/// What a venue is spoken to with.
pub struct Keys {
    pub credentials: Credentials,
    pub ca_pem: Option<Vec<u8>>,
}

/// The credentials, from where the settings say, and the certificate authority if one is named.
pub fn keys(settings: &EngineSettings) -> Result<Keys> {
    let found = credentials::find(&settings.credentials)?;
    let kind = match found.kind {
        CredentialKind::Hmac => KeyKind::Hmac,
        CredentialKind::Ed25519 => KeyKind::Ed25519,
    };
    let ca_pem = settings
        .venue
        .ca_file
        .as_ref()
        .map(|path| std::fs::read(path).with_context(|| format!("venue.ca_file {}", path.display())))
        .transpose()?;
    Ok(Keys { credentials: Credentials { api_key: found.key, secret: found.secret, kind }, ca_pem })
}

/// An engine file; its faults are shown with their places.
pub fn engine(path: &std::path::Path) -> Result<EngineSettings> {
    match load::engine(path) {
        Ok(loaded) => {
            diagnose::warnings(&loaded.warnings);
            Ok(loaded.settings)
        }
        Err(problems) => {
            diagnose::errors(&problems);
            bail!("{}: {} fault{}", path.display(), problems.len(), if problems.len() == 1 { "" } else { "s" })
        }
    }
}
