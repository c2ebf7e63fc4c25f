//! The maker that the rigs run, what it must hear before it quotes, and a venue that does what it is asked. Opens no socket.

use spinquote::config::perpetual::PerpetualSettings;
use spinquote::event::{
    AccountEvent, Command, CommandKind, Event, Fill, Link, LinkState, OrderEvent, OrderEventKind, OrderSource,
};
use spinquote::instrument::{Instrument, InstrumentId};
use spinquote::maker::strategy::Cadence;
use spinquote::maker::strategy::perpetual::Perpetual;
use spinquote::maker::{InstrumentSetup, Maker, MakerConfig, RiskLimits};
use spinquote::unit::{Amount, Lots, Money, Nanos, RATE_ONE, Rate};

const ID: InstrumentId = InstrumentId(0);
/// Distance of the first quote from the mid, and of each further one from the one before, in millionths.
pub const SPREAD: i64 = 200;
/// See [`SPREAD`].
pub const LEVEL_SPREAD: i64 = 100;
/// Size of a quote in lots.
pub const QTY: i64 = 10;
/// Messages in ten seconds, far above what happens: they are counted, the limit is not reached.
pub const MESSAGES_MAX: u32 = 10_000_000;

/// `perpetual_market_making` with `levels` quotes a side, repriced on every event with no tolerance, behind the full risk gate.
///
/// # Panics
/// The settings are refused.
#[must_use]
pub fn maker(instrument: &Instrument, levels: u8) -> Maker {
    let millionths = |count: i64| Rate(RATE_ONE / 1_000_000 * count);
    let settings = PerpetualSettings {
        derivative: "binance_perpetual".into(),
        market: "BTC-USDT".into(),
        leverage: 20,
        bid_spread: millionths(SPREAD),
        ask_spread: millionths(SPREAD),
        order_refresh_time: Nanos(1),
        order_refresh_tolerance: Rate::ZERO,
        order_amount: Amount(i128::from(QTY) * instrument.lot.atto()),
        order_levels: levels.into(),
        buy_levels: levels.into(),
        sell_levels: levels.into(),
        order_level_spread: millionths(LEVEL_SPREAD),
        ..PerpetualSettings::default()
    };
    assert_eq!(settings.check(), Vec::<String>::new());
    let limits = RiskLimits {
        position_max: Lots(1_000),
        order_qty_max: Lots(100),
        order_notional_max: Money::parse(b"1000000").expect("literal"),
        price_band: Rate::parse(b"0.1").expect("literal"),
        orders_max: MESSAGES_MAX,
        messages_max: MESSAGES_MAX,
        cancel_headroom: 100,
        interval: Nanos::from_secs(10),
        loss_max: Money::parse(b"100000").expect("literal"),
        data_age_max: Nanos::ZERO,
        skew_max: Nanos::ZERO,
    };
    let setup = InstrumentSetup {
        instrument: instrument.clone(),
        strategy: Box::new(Perpetual::new(settings, Cadence::EveryEvent)),
        cadence: Cadence::EveryEvent,
        source: None,
    };
    Maker::new(MakerConfig::new(1, limits), vec![setup])
}

/// A connection of the instrument comes up.
#[must_use]
pub const fn up(link: Link) -> Event<'static> {
    Event::Link { instrument: ID, link, state: LinkState::Up }
}

/// What a reconciliation finds: money, and no orders and positions.
#[must_use]
pub fn account() -> [AccountEvent; 4] {
    let wallet = Money::parse(b"1000000").expect("literal");
    [
        AccountEvent::ReconcileBegin,
        AccountEvent::Balance { wallet, available: wallet },
        AccountEvent::ReconcileEnd,
        AccountEvent::PositionMode { hedge: false },
    ]
}

/// All connections come up, and the account is known: what a maker waits for besides a book.
pub fn opening() -> impl Iterator<Item = Event<'static>> {
    [Link::Market, Link::Private, Link::OrderEntry].map(up).into_iter().chain(account().map(Event::Account))
}

/// The venue's answer, for commands about an order.
#[must_use]
pub fn answer(command: &Command) -> Option<OrderEvent> {
    let kind = match command.kind {
        CommandKind::New => OrderEventKind::Accepted,
        CommandKind::Amend => OrderEventKind::Amended,
        CommandKind::Cancel => OrderEventKind::Canceled,
        _ => return None,
    };
    Some(OrderEvent {
        kind,
        source: OrderSource::Response,
        side: command.side,
        position_side: command.position_side,
        tif: command.tif,
        reduce_only: command.reduce_only,
        instrument: command.instrument,
        generation: command.generation,
        code: 0,
        client_id: command.client_id,
        venue_id: 1,
        price: command.price,
        qty: command.qty,
        filled: Lots(0),
        fill: Fill::default(),
        venue_time: Nanos::ZERO,
    })
}
