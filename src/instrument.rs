//! What a contract is: its grid, filters, fees and margin terms, as the venue states them. Never a hard-coded market.

use crate::unit::{Lots, MONEY_PLACES, Money, Price, Rate, Step, Ticks, pow10, product};
use arrayvec::ArrayString;

/// A venue symbol such as `BTCUSDT`, or an asset such as `USDT`.
pub type Symbol = ArrayString<24>;

/// Index of an instrument in the engine's arrays; small, dense, fixed at start.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, PartialOrd, Ord)]
#[repr(transparent)]
pub struct InstrumentId(pub u16);

/// One tradable linear perpetual: price in quote currency, quantity in base, margin in quote.
/// Sources for Binance USD-M: `GET /fapi/v1/exchangeInfo` (filters), `commissionRate` (fees), `leverageBracket` (margin).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instrument {
    /// The venue's name for it, upper case as the venue spells it.
    pub symbol: Symbol,
    /// Base asset.
    pub base: Symbol,
    /// Quote and margin asset.
    pub quote: Symbol,
    /// Price grid.
    pub tick: Step,
    /// Quantity grid.
    pub lot: Step,
    /// Decimals the venue accepts in a price text (`pricePrecision`); not the tick.
    pub price_places: u8,
    /// Decimals the venue accepts in a quantity text (`quantityPrecision`); not the lot.
    pub qty_places: u8,
    /// Smallest price an order may have.
    pub price_min: Ticks,
    /// Largest price an order may have; zero means no limit.
    pub price_max: Ticks,
    /// Smallest quantity of a limit order.
    pub qty_min: Lots,
    /// Largest quantity of a limit order.
    pub qty_max: Lots,
    /// Largest quantity of a market order.
    pub market_qty_max: Lots,
    /// Smallest notional of an order that is not reduce-only.
    pub notional_min: Money,
    /// A buy may not be above mark * this. Zero means no limit.
    pub percent_up: Rate,
    /// A sell may not be below mark * this.
    pub percent_down: Rate,
    /// Largest number of open orders.
    pub orders_max: u32,
    /// Fee of a maker fill as a fraction of notional; negative is a rebate.
    pub maker_fee: Rate,
    /// Fee of a taker fill as a fraction of notional.
    pub taker_fee: Rate,
    /// Maintenance margin of the first bracket as a fraction of notional.
    pub maintenance_margin: Rate,
    /// Hours between funding payments.
    pub funding_interval_hours: u8,
}

impl Instrument {
    /// Value of `qty` at `price`. Exact as long as tick and lot have at most 18 decimals together.
    #[must_use]
    pub fn notional(&self, price: Ticks, qty: Lots) -> Money {
        Money(product(product(price.0.into(), qty.0.into()), self.tick_lot()))
    }

    /// Value of `qty` at an unquantised price, truncated towards zero at 1e-18.
    #[must_use]
    pub fn notional_at(&self, price: Price, qty: Lots) -> Money {
        let lot_places = self.lot.places();
        Money(price.0 * i128::from(qty.0) * i128::from(self.lot.mantissa()) / pow10(lot_places))
    }

    /// What one lot changes in value when the price moves one tick, in [`Money`] units.
    #[must_use]
    pub fn tick_lot(&self) -> i128 {
        let places = self.tick.places() + self.lot.places();
        assert!(places <= MONEY_PLACES, "tick and lot have {places} decimals together, more than money holds");
        product(product(self.tick.mantissa().into(), self.lot.mantissa().into()), pow10(MONEY_PLACES - places))
    }

    /// A tick price as an unquantised one.
    #[must_use]
    pub fn price(&self, ticks: Ticks) -> Price {
        Price(product(ticks.0.into(), self.tick.atto()))
    }

    /// The mid of two tick prices, exactly.
    #[must_use]
    pub fn mid(&self, bid: Ticks, ask: Ticks) -> Price {
        Price(product((bid.0 + ask.0).into(), self.tick.atto()) / 2)
    }

    /// Largest tick not above `price` (towards minus infinity).
    #[must_use]
    pub fn floor(&self, price: Price) -> Ticks {
        Ticks(i64::try_from(price.0.div_euclid(self.tick.atto())).expect("a price beyond i64 ticks"))
    }

    /// Smallest tick not below `price`.
    #[must_use]
    pub fn ceil(&self, price: Price) -> Ticks {
        Ticks(-i64::try_from((-price.0).div_euclid(self.tick.atto())).expect("a price beyond i64 ticks"))
    }

    /// A USD-M contract with BTCUSDT-like terms, for tests and for the synthetic market.
    #[must_use]
    pub fn synthetic(symbol: &str, tick: &str, lot: &str) -> Self {
        let quote = "USDT";
        let base = symbol.strip_suffix(quote).unwrap_or(symbol);
        let lot_step = Step::parse(lot.as_bytes()).expect("lot");
        let tick_step = Step::parse(tick.as_bytes()).expect("tick");
        let name = |text: &str| Symbol::from(text).expect("symbol of at most 24 bytes");
        Self {
            symbol: name(symbol),
            base: name(base),
            quote: name(quote),
            tick: tick_step,
            lot: lot_step,
            price_places: tick_step.places() as u8,
            qty_places: lot_step.places() as u8,
            price_min: Ticks(1),
            price_max: Ticks(100_000_000),
            qty_min: Lots(1),
            qty_max: Lots(1_000_000),
            market_qty_max: Lots(120_000),
            notional_min: Money::parse(b"100").expect("literal"),
            percent_up: Rate::parse(b"1.05").expect("literal"),
            percent_down: Rate::parse(b"0.95").expect("literal"),
            orders_max: 200,
            maker_fee: Rate::parse(b"0.0002").expect("literal"),
            taker_fee: Rate::parse(b"0.0005").expect("literal"),
            maintenance_margin: Rate::parse(b"0.004").expect("literal"),
            funding_interval_hours: 8,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notional_is_exact() {
        let btc = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        assert_eq!(btc.notional(Ticks(618_002), Lots(2)), Money::parse(b"123.6004").unwrap());
        assert_eq!(btc.notional_at(Price::parse(b"61800.25").unwrap(), Lots(2)), Money::parse(b"123.6005").unwrap());
        assert_eq!(btc.base.as_str(), "BTC");
    }

    #[test]
    fn rounding_goes_the_named_way() {
        let btc = Instrument::synthetic("BTCUSDT", "0.10", "0.001");
        let mid = btc.mid(Ticks(618_002), Ticks(618_003));
        assert_eq!(mid, Price::parse(b"61800.25").unwrap());
        assert_eq!((btc.floor(mid), btc.ceil(mid)), (Ticks(618_002), Ticks(618_003)));
        assert_eq!((btc.floor(btc.price(Ticks(5))), btc.ceil(btc.price(Ticks(5)))), (Ticks(5), Ticks(5)));
    }
}
