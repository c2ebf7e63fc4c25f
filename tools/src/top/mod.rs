//! `sq top`: a full-screen live view; one plain picture of it where stdout is no terminal. Reads only: commands are `sq ctl`.

mod book;
mod draw;
pub mod model;

use crate::run::{Life, Run, RunArgs};
use anyhow::{Context, Result, bail};
use clap::Args;
use model::Model;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use spinquote::unit::Nanos;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// Watch a run: book ladder with own orders in place, position, P&L, rates, latency, feed health.
#[derive(Debug, Args)]
#[command(
    after_help = "Keys: q quit, Tab next instrument, space hold the picture, + and - how often, l latency of the run or of the last moments.\n\
                        Where stdout is no terminal, one picture is printed as plain text.\n\n\
                        Examples:\n  sq top\n  sq top --every 250ms runs/20261121-101500\n  sq top --plain --size 200x60 > picture.txt"
)]
pub struct TopArgs {
    /// How often it looks.
    #[arg(long, value_name = "DURATION", default_value = "500ms", value_parser = spinquote::config::value::duration)]
    every: Nanos,
    /// Print one picture as plain text.
    #[arg(long)]
    plain: bool,
    /// Columns and rows of the plain picture.
    #[arg(long, value_name = "WxH", default_value = "80x24", value_parser = size)]
    size: (u16, u16),
    #[command(flatten)]
    run: RunArgs,
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let parsed = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    parsed
        .filter(|&(width, height)| (20..=500).contains(&width) && (8..=300).contains(&height))
        .ok_or_else(|| "want columns and rows from 20x8 to 500x300, such as 80x24".to_owned())
}

/// What the keys changed.
pub struct View {
    pub instrument: usize,
    pub held: bool,
    pub every: Duration,
    /// Latency of the last interval instead of the whole run.
    pub recent: bool,
}

/// Between the two looks of a plain picture.
const PLAIN_LOOKS: Duration = Duration::from_millis(250);
const FASTEST: Duration = Duration::from_millis(50);
const SLOWEST: Duration = Duration::from_secs(10);

/// Shows it.
pub fn run(args: &TopArgs, out: &mut dyn Write) -> Result<ExitCode> {
    let run = Run::find(&args.run)?;
    let every = Duration::from_nanos(args.every.0.max(0).unsigned_abs()).clamp(FASTEST, SLOWEST);
    let mut view = View { instrument: 0, held: false, every, recent: false };
    let mut model = Model::open(run)?;
    if args.plain || !io::stdout().is_terminal() {
        model.look();
        if matches!(model.life, Life::Live(_)) {
            // Rates are the change between two looks.
            std::thread::sleep(PLAIN_LOOKS);
            model.look();
        }
        write!(out, "{}", plain(&model, &view, args.size)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !io::stdin().is_terminal() {
        bail!("stdin is no terminal, so no key could end it; --plain prints one picture");
    }
    let mut terminal = ratatui::try_init().context("the terminal cannot be used; --plain prints one picture")?;
    let done = watch(&mut terminal, &mut model, &mut view);
    ratatui::restore();
    done.map(|()| ExitCode::SUCCESS)
}

fn watch(terminal: &mut ratatui::DefaultTerminal, model: &mut Model, view: &mut View) -> Result<()> {
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            if !view.held {
                model.look();
            }
            next = Instant::now() + view.every;
        }
        terminal.draw(|frame| draw::draw(frame, model, view))?;
        if event::poll(next.saturating_duration_since(Instant::now()))?
            && let Event::Key(key) = event::read()?
            && key.kind == KeyEventKind::Press
        {
            match key.code {
                KeyCode::Char('q') | KeyCode::Esc => return Ok(()),
                KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return Ok(()),
                KeyCode::Tab => view.instrument = (view.instrument + 1) % model.page.symbols.len().max(1),
                KeyCode::Char(' ') => view.held = !view.held,
                KeyCode::Char('+') => view.every = (view.every / 2).max(FASTEST),
                KeyCode::Char('-') => view.every = (view.every * 2).min(SLOWEST),
                KeyCode::Char('l') => view.recent = !view.recent,
                _ => {}
            }
        }
    }
}

/// One picture as text.
fn plain(model: &Model, view: &View, (width, height): (u16, u16)) -> Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(width, height))?;
    terminal.draw(|frame| draw::draw(frame, model, view))?;
    let buffer = terminal.backend().buffer();
    let row = |y: u16| {
        let line: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
        format!("{}\n", line.trim_end())
    };
    Ok((0..height).map(row).collect())
}
