//! Inventory that executors have handed over: what was bought and sold, netted, at its average price. Knows no orders.

use super::{average, value};
use crate::event::Side;
use crate::unit::{Amount, Money, Price};

/// One record of held inventory. Buys and sells in it net.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Held {
    bought: Amount,
    bought_quote: Money,
    sold: Amount,
    sold_quote: Money,
    volume: Money,
    fees: Money,
    /// The side whose cost is not known yet: the user stated an amount at the start, without a price.
    unpriced: Option<Side>,
}

/// What a record says at a price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Summary {
    /// Buy for a long or flat record.
    pub side: Side,
    /// Net amount, never negative.
    pub amount: Amount,
    /// Average price of the net amount, zero when flat.
    pub breakeven: Price,
    /// Profit of the net amount at the price.
    pub unrealized: Money,
    /// Profit of what was both bought and sold.
    pub realized: Money,
    /// Everything traded.
    pub volume: Money,
    /// Everything paid in fees.
    pub fees: Money,
}

impl Summary {
    /// Value of the net amount at its average price.
    #[must_use]
    pub fn cost(&self) -> Money {
        value(self.amount, self.breakeven)
    }

    /// Realised and unrealised profit after fees.
    #[must_use]
    pub fn total(&self) -> Money {
        self.realized + self.unrealized - self.fees
    }
}

impl Held {
    /// Inventory that the user stated; its cost is the first price it is shown.
    #[must_use]
    pub fn stated(side: Side, amount: Amount) -> Self {
        let mut held = Self::default();
        held.add(side, amount, Money::ZERO, Money::ZERO);
        held.unpriced = Some(side);
        held
    }

    /// Takes the price as the cost of stated inventory, once. What was traded on its side before counts at that price too.
    pub fn see(&mut self, mid: Price) {
        match self.unpriced.take() {
            Some(Side::Buy) => self.bought_quote = value(self.bought, mid),
            Some(Side::Sell) => self.sold_quote = value(self.sold, mid),
            None => {}
        }
    }

    /// Nothing was ever traded.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bought.is_zero() && self.sold.is_zero()
    }

    /// Takes over what an order executed.
    pub fn add(&mut self, side: Side, amount: Amount, quote: Money, fee: Money) {
        match side {
            Side::Buy => {
                self.bought += amount;
                self.bought_quote += quote;
            }
            Side::Sell => {
                self.sold += amount;
                self.sold_quote += quote;
            }
        }
        self.volume += quote;
        self.fees += fee;
    }

    /// Net amount, signed.
    #[must_use]
    pub fn net(&self) -> Amount {
        self.bought - self.sold
    }

    /// The record at a price.
    #[must_use]
    pub fn summary(&self, mid: Price) -> Summary {
        let matched = self.bought.min(self.sold);
        let (buy, sell) = (average(self.bought_quote, self.bought), average(self.sold_quote, self.sold));
        let realized = value(matched, sell - buy);
        let net = self.net();
        let (side, rest) = match net.signum() {
            -1 => (Side::Sell, self.sold_quote - value(matched, sell)),
            _ => (Side::Buy, self.bought_quote - value(matched, buy)),
        };
        let breakeven = average(rest, net.abs());
        let unrealized = value(net, mid - breakeven);
        Summary { side, amount: net.abs(), breakeven, unrealized, realized, volume: self.volume, fees: self.fees }
    }
}
