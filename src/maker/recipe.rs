//! Everything a [`Maker`] is built from, as one value that goes through JSON and back unchanged: a run's journal together with its
//! recipe is the run. Reads no file; strategies are kept as the text of the user's file and parsed again.

mod fields;

use super::Maker;
use super::config::{InstrumentSetup, Leftovers, MakerConfig, Source};
use super::risk::RiskLimits;
use super::strategy::funding_aware::FundingAware;
use super::strategy::perpetual::Perpetual;
use super::strategy::pmm::Pmm;
use super::strategy::{Cadence, Strategy};
use crate::config::load::{self, Target};
use crate::config::problem::Problem;
use crate::instrument::{Instrument, InstrumentId};
use crate::unit::{Lots, MONEY_PLACES, Money, Nanos, Rate, Step, Ticks};
use fields::{Fields, invalid, wrong};
use serde_json::{Value, json};

/// Version of the JSON form. Another one is refused: a setting that is not understood could change a decision.
pub const VERSION: u32 = 2;

/// What a maker is built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipe {
    /// The account's settings.
    pub config: MakerConfig,
    /// The instruments, by [`InstrumentId`].
    pub instruments: Vec<InstrumentRecipe>,
    /// Markets that are only looked at; their ids follow those of the instruments.
    pub watched: Vec<WatchedRecipe>,
}

/// A market that is only looked at: what its frames are decoded with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WatchedRecipe {
    /// Its terms; only the grid matters.
    pub instrument: Instrument,
    /// Whose frames, in the word of the decoder that is to read them.
    pub product: String,
}

/// What one instrument's part of a maker is built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstrumentRecipe {
    /// The contract.
    pub instrument: Instrument,
    /// What quotes it.
    pub strategy: StrategyText,
    /// When it decides.
    pub cadence: Cadence,
    /// Where the strategy's reference price comes from besides its own market.
    pub source: Option<Source>,
}

/// A strategy as its user wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StrategyText {
    /// Which one; the text must say the same.
    pub kind: StrategyKind,
    /// The file as the user named it: its end tells the format (`.json`, else YAML), and faults are reported under it.
    pub file: String,
    /// Its text.
    pub text: String,
}

/// The strategies that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StrategyKind {
    /// `perpetual_market_making`.
    PerpetualMarketMaking,
    /// The funding-aware maker.
    FundingAware,
    /// The pure market making controller.
    PmmController,
}

impl StrategyKind {
    const ALL: [Self; 3] = [Self::PerpetualMarketMaking, Self::FundingAware, Self::PmmController];

    /// Its name in settings files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PerpetualMarketMaking => "perpetual_market_making",
            Self::FundingAware => crate::config::funding_aware::NAME,
            Self::PmmController => crate::config::pmm::NAME,
        }
    }
}

/// Why a recipe cannot be read or used. Fields are named by their path, such as `instruments[0].tick`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecipeError {
    /// Written by another version of the program.
    #[error("the recipe has version {0}, this program reads {VERSION}")]
    Version(u32),
    /// Not there.
    #[error("{0}: missing")]
    Missing(String),
    /// There, but no version knows it.
    #[error("{0}: unknown")]
    Unknown(String),
    /// Of another JSON type.
    #[error("{field}: found {found}, expected {expected}")]
    Type {
        /// Its path.
        field: String,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: &'static str,
    },
    /// Of the right type, but not a valid value.
    #[error("{field}: {what}")]
    Value {
        /// Its path.
        field: String,
        /// What is wrong with it.
        what: String,
    },
    /// The strategy's text has faults.
    #[error("{field}: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Strategy {
        /// The path of the strategy.
        field: String,
        /// All of them.
        problems: Vec<Problem>,
    },
}

impl Recipe {
    /// The JSON form. Amounts and grids are decimal text, times whole nanoseconds.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "version": VERSION,
            "maker": config_to_json(&self.config),
            "instruments": self.instruments.iter().map(InstrumentRecipe::to_json).collect::<Vec<_>>(),
            "watched": self.watched.iter().map(WatchedRecipe::to_json).collect::<Vec<_>>(),
        })
    }

    /// Reads the JSON form.
    ///
    /// # Errors
    /// The first field that is missing, unknown or not what it should be.
    pub fn from_json(value: &Value) -> Result<Self, RecipeError> {
        let mut fields = Fields::of(value, String::new())?;
        let version = fields.integer("version")?;
        if version != VERSION {
            return Err(RecipeError::Version(version));
        }
        let config = config_from_json(fields.inner("maker")?)?;
        let instruments = list(&mut fields, "instruments", InstrumentRecipe::from_json)?;
        let watched = list(&mut fields, "watched", WatchedRecipe::from_json)?;
        fields.finish()?;
        Ok(Self { config, instruments, watched })
    }

    /// The contracts, in the order of their ids: what a decoder is built from.
    #[must_use]
    pub fn contracts(&self) -> Vec<Instrument> {
        self.instruments.iter().map(|part| part.instrument.clone()).collect()
    }

    /// A maker as it was before its first event.
    ///
    /// # Errors
    /// A value that no maker can have, or a fault of a strategy's text.
    pub fn build(&self) -> Result<Maker, RecipeError> {
        self.check()?;
        let setups = self.instruments.iter().enumerate().map(|(at, part)| {
            Ok(InstrumentSetup {
                instrument: part.instrument.clone(),
                strategy: part.strategy.build(
                    &part.instrument,
                    part.cadence,
                    &format!("instruments[{at}].strategy"),
                )?,
                cadence: part.cadence,
                source: part.source,
            })
        });
        let watched = self.watched.iter().map(|part| part.instrument.clone()).collect();
        Ok(Maker::watching(self.config, setups.collect::<Result<_, _>>()?, watched))
    }

    /// The conditions under which a maker can be made without a panic.
    fn check(&self) -> Result<(), RecipeError> {
        let (traded, count) = (self.instruments.len(), self.instruments.len() + self.watched.len());
        if self.config.run == 0 {
            return Err(invalid("maker.run", "must not be 0"));
        }
        if self.config.limits.interval < Nanos(16) {
            return Err(invalid("maker.limits.interval_ns", "must be at least 16"));
        }
        if traded == 0 || u16::try_from(count).is_err() {
            return Err(invalid(
                "instruments",
                format!("{traded} of them; must be 1 to {}, watched ones included", u16::MAX),
            ));
        }
        for (at, part) in self.instruments.iter().enumerate() {
            let path = |field: &str| format!("instruments[{at}].{field}");
            let (tick, lot) = (part.instrument.tick, part.instrument.lot);
            if tick.places() + lot.places() > MONEY_PLACES || part.instrument.tick_lot() % 2 != 0 {
                let what = format!("{lot}, with a tick of {tick}: half a tick times a lot is finer than money");
                return Err(invalid(path("instrument.lot"), what));
            }
            if matches!(part.cadence, Cadence::Interval(time) if time <= Nanos::ZERO) {
                return Err(invalid(path("cadence"), "must be longer than nothing"));
            }
            if matches!(part.source, Some(Source::Market { instrument, .. }) if usize::from(instrument.0) >= count) {
                return Err(invalid(
                    path("source.instrument"),
                    format!("must be the number of an instrument, below {count}"),
                ));
            }
        }
        Ok(())
    }
}

impl StrategyText {
    /// What `text` sets, which is this file's text or what it became while the run went on. Where the run trades was decided when it
    /// started: the file's connector no longer matters.
    ///
    /// # Errors
    /// Every fault of the text.
    pub fn settings(&self, text: &str) -> Result<load::Strategy, Vec<Problem>> {
        load::strategy_text(&self.file, text, Target::Demo).map(|loaded| loaded.settings)
    }

    /// The strategy as it was before its first decision.
    fn build(&self, instrument: &Instrument, cadence: Cadence, field: &str) -> Result<Box<dyn Strategy>, RecipeError> {
        let settings = self
            .settings(&self.text)
            .map_err(|problems| RecipeError::Strategy { field: field.to_owned(), problems })?;
        Ok(match (self.kind, settings) {
            (StrategyKind::PerpetualMarketMaking, load::Strategy::Perpetual(settings)) => {
                Box::new(Perpetual::new(settings, cadence))
            }
            (StrategyKind::FundingAware, load::Strategy::FundingAware(settings)) => {
                Box::new(FundingAware::new(settings))
            }
            (StrategyKind::PmmController, load::Strategy::Pmm(settings)) => {
                Box::new(Pmm::new(settings, instrument.clone()))
            }
            _ => return Err(invalid(field, format!("the text is of another strategy than {}", self.kind.name()))),
        })
    }
}

impl InstrumentRecipe {
    fn to_json(&self) -> Value {
        let StrategyText { kind, file, text } = &self.strategy;
        json!({
            "instrument": instrument_to_json(&self.instrument),
            "strategy": { "kind": kind.name(), "file": file, "text": text },
            "cadence": match self.cadence {
                Cadence::EveryEvent => json!("every_event"),
                Cadence::Interval(time) => json!({ "interval_ns": time.0 }),
            },
            "source": self.source.map(|source| match source {
                Source::Market { instrument, stale_after } => {
                    json!({ "kind": "market", "instrument": instrument.0, "stale_after_ns": stale_after.0 })
                }
                Source::Polled { stale_after } => json!({ "kind": "polled", "stale_after_ns": stale_after.0 }),
            }),
        })
    }

    fn from_json(mut fields: Fields<'_>) -> Result<Self, RecipeError> {
        let instrument = instrument_from(fields.inner("instrument")?)?;
        let mut strategy = fields.inner("strategy")?;
        let kinds = StrategyKind::ALL;
        let kind = strategy.one_of("kind", &kinds.map(|kind| (kind.name(), kind)))?;
        let (file, text) = (strategy.text("file")?.to_owned(), strategy.text("text")?.to_owned());
        strategy.finish()?;
        let cadence = if fields.value("cadence")?.is_object() {
            let mut interval = fields.inner("cadence")?;
            let time = Nanos(interval.integer("interval_ns")?);
            interval.finish()?;
            Cadence::Interval(time)
        } else {
            fields.one_of("cadence", &[("every_event", Cadence::EveryEvent)])?
        };
        let source = match fields.value("source")? {
            Value::Null => None,
            _ => Some(source_from_json(fields.inner("source")?)?),
        };
        fields.finish()?;
        Ok(Self { instrument, strategy: StrategyText { kind, file, text }, cadence, source })
    }
}

fn source_from_json(mut fields: Fields<'_>) -> Result<Source, RecipeError> {
    let polled = fields.one_of("kind", &[("market", false), ("polled", true)])?;
    let stale_after = Nanos(fields.integer("stale_after_ns")?);
    let source = if polled {
        Source::Polled { stale_after }
    } else {
        Source::Market { instrument: InstrumentId(fields.integer("instrument")?), stale_after }
    };
    fields.finish()?;
    Ok(source)
}

impl WatchedRecipe {
    fn to_json(&self) -> Value {
        json!({ "instrument": instrument_to_json(&self.instrument), "product": self.product })
    }

    fn from_json(mut fields: Fields<'_>) -> Result<Self, RecipeError> {
        let instrument = instrument_from(fields.inner("instrument")?)?;
        let product = fields.text("product")?.to_owned();
        fields.finish()?;
        Ok(Self { instrument, product })
    }
}

/// The objects of a list, each named by its place in it.
fn list<T>(
    fields: &mut Fields<'_>,
    key: &'static str,
    read: impl Fn(Fields<'_>) -> Result<T, RecipeError>,
) -> Result<Vec<T>, RecipeError> {
    let value = fields.value(key)?;
    let list = value.as_array().ok_or_else(|| wrong(fields.path(key), "a list", value))?;
    list.iter().enumerate().map(|(at, value)| read(Fields::of(value, format!("{key}[{at}]"))?)).collect()
}

// Each pair below names every field twice. The patterns and literals have no `..`: a new field does not compile until it is in both.

fn config_to_json(config: &MakerConfig) -> Value {
    let MakerConfig {
        run,
        limits,
        amend,
        leftovers,
        ack_timeout,
        query_grace,
        market_stale,
        snapshot_retry,
        reconcile_retry,
        mismatch_after,
        reject_delay,
        slot_quiet,
        flatten_tries,
    } = *config;
    json!({
        "run": run,
        "limits": limits_to_json(&limits),
        "amend": amend,
        "leftovers": LEFTOVERS[leftovers as usize].0,
        "ack_timeout_ns": ack_timeout.0,
        "query_grace_ns": query_grace.0,
        "market_stale_ns": market_stale.0,
        "snapshot_retry_ns": snapshot_retry.0,
        "reconcile_retry_ns": reconcile_retry.0,
        "mismatch_after_ns": mismatch_after.0,
        "reject_delay_ns": reject_delay.0,
        "slot_quiet_ns": slot_quiet.0,
        "flatten_tries": flatten_tries,
    })
}

const LEFTOVERS: [(&str, Leftovers); 2] = [("cancel", Leftovers::Cancel), ("adopt", Leftovers::Adopt)];

fn config_from_json(mut fields: Fields<'_>) -> Result<MakerConfig, RecipeError> {
    let config = MakerConfig {
        run: fields.integer("run")?,
        limits: limits_from_json(fields.inner("limits")?)?,
        amend: fields.flag("amend")?,
        leftovers: fields.one_of("leftovers", &LEFTOVERS)?,
        ack_timeout: Nanos(fields.integer("ack_timeout_ns")?),
        query_grace: Nanos(fields.integer("query_grace_ns")?),
        market_stale: Nanos(fields.integer("market_stale_ns")?),
        snapshot_retry: Nanos(fields.integer("snapshot_retry_ns")?),
        reconcile_retry: Nanos(fields.integer("reconcile_retry_ns")?),
        mismatch_after: Nanos(fields.integer("mismatch_after_ns")?),
        reject_delay: Nanos(fields.integer("reject_delay_ns")?),
        slot_quiet: Nanos(fields.integer("slot_quiet_ns")?),
        flatten_tries: fields.integer("flatten_tries")?,
    };
    fields.finish()?;
    Ok(config)
}

fn limits_to_json(limits: &RiskLimits) -> Value {
    let RiskLimits {
        position_max,
        order_qty_max,
        order_notional_max,
        price_band,
        orders_max,
        messages_max,
        cancel_headroom,
        interval,
        loss_max,
        data_age_max,
        skew_max,
    } = *limits;
    json!({
        "position_max_lots": position_max.0,
        "order_qty_max_lots": order_qty_max.0,
        "order_notional_max": order_notional_max.to_string(),
        "price_band": price_band.to_string(),
        "orders_max": orders_max,
        "messages_max": messages_max,
        "cancel_headroom": cancel_headroom,
        "interval_ns": interval.0,
        "loss_max": loss_max.to_string(),
        "data_age_max_ns": data_age_max.0,
        "skew_max_ns": skew_max.0,
    })
}

fn limits_from_json(mut fields: Fields<'_>) -> Result<RiskLimits, RecipeError> {
    let limits = RiskLimits {
        position_max: Lots(fields.integer("position_max_lots")?),
        order_qty_max: Lots(fields.integer("order_qty_max_lots")?),
        order_notional_max: fields.decimal("order_notional_max", Money::parse)?,
        price_band: fields.decimal("price_band", Rate::parse)?,
        orders_max: fields.integer("orders_max")?,
        messages_max: fields.integer("messages_max")?,
        cancel_headroom: fields.integer("cancel_headroom")?,
        interval: Nanos(fields.integer("interval_ns")?),
        loss_max: fields.decimal("loss_max", Money::parse)?,
        data_age_max: Nanos(fields.integer("data_age_max_ns")?),
        skew_max: Nanos(fields.integer("skew_max_ns")?),
    };
    fields.finish()?;
    Ok(limits)
}

/// A contract's terms as JSON, exactly; [`instrument_from_json`] reads them.
#[must_use]
pub fn instrument_to_json(instrument: &Instrument) -> Value {
    let Instrument {
        symbol,
        base,
        quote,
        tick,
        lot,
        price_places,
        qty_places,
        price_min,
        price_max,
        qty_min,
        qty_max,
        market_qty_max,
        notional_min,
        percent_up,
        percent_down,
        orders_max,
        maker_fee,
        taker_fee,
        maintenance_margin,
        funding_interval_hours,
    } = instrument;
    json!({
        "symbol": symbol.as_str(),
        "base": base.as_str(),
        "quote": quote.as_str(),
        "tick": tick.to_string(),
        "lot": lot.to_string(),
        "price_places": price_places,
        "qty_places": qty_places,
        "price_min": tick.text(price_min.0),
        "price_max": tick.text(price_max.0),
        "qty_min": lot.text(qty_min.0),
        "qty_max": lot.text(qty_max.0),
        "market_qty_max": lot.text(market_qty_max.0),
        "notional_min": notional_min.to_string(),
        "percent_up": percent_up.to_string(),
        "percent_down": percent_down.to_string(),
        "orders_max": orders_max,
        "maker_fee": maker_fee.to_string(),
        "taker_fee": taker_fee.to_string(),
        "maintenance_margin": maintenance_margin.to_string(),
        "funding_interval_hours": funding_interval_hours,
    })
}

/// The terms that [`instrument_to_json`] wrote; faults are named by `path`.
///
/// # Errors
/// A field is missing, unknown or no valid value.
pub fn instrument_from_json(value: &Value, path: &str) -> Result<Instrument, RecipeError> {
    instrument_from(Fields::of(value, path.to_owned())?)
}

fn instrument_from(mut fields: Fields<'_>) -> Result<Instrument, RecipeError> {
    let (tick, lot) = (fields.decimal("tick", Step::parse)?, fields.decimal("lot", Step::parse)?);
    let instrument = Instrument {
        symbol: fields.symbol("symbol")?,
        base: fields.symbol("base")?,
        quote: fields.symbol("quote")?,
        tick,
        lot,
        price_places: fields.integer("price_places")?,
        qty_places: fields.integer("qty_places")?,
        price_min: Ticks(fields.decimal("price_min", |text| tick.parse_count(text))?),
        price_max: Ticks(fields.decimal("price_max", |text| tick.parse_count(text))?),
        qty_min: Lots(fields.decimal("qty_min", |text| lot.parse_count(text))?),
        qty_max: Lots(fields.decimal("qty_max", |text| lot.parse_count(text))?),
        market_qty_max: Lots(fields.decimal("market_qty_max", |text| lot.parse_count(text))?),
        notional_min: fields.decimal("notional_min", Money::parse)?,
        percent_up: fields.decimal("percent_up", Rate::parse)?,
        percent_down: fields.decimal("percent_down", Rate::parse)?,
        orders_max: fields.integer("orders_max")?,
        maker_fee: fields.decimal("maker_fee", Rate::parse)?,
        taker_fee: fields.decimal("taker_fee", Rate::parse)?,
        maintenance_margin: fields.decimal("maintenance_margin", Rate::parse)?,
        funding_interval_hours: fields.integer("funding_interval_hours")?,
    };
    fields.finish()?;
    Ok(instrument)
}

#[cfg(test)]
mod tests;
