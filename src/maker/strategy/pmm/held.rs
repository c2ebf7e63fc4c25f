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
    fees: Money,
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
        let volume = self.bought_quote + self.sold_quote;
        Summary { side, amount: net.abs(), breakeven, unrealized, realized, volume, fees: self.fees }
    }
}
