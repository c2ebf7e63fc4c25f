//! Scanner for arrays of price levels, `[["61800.20","2.507"],...]`, in three implementations that give equal results.
//!
//! It only ever answers "these are the levels" or `None`, which means "not in the exact form I know": the caller then takes
//! the general JSON path, which either understands the text or names the fault. It never guesses and never reports a fault.

mod column;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use column::Column;
pub(crate) use column::eight_digits;

use crate::unit::{Lots, Ticks};

/// Bytes that must exist behind the document, with any content: one vector load may start at its last byte.
pub const SPARE: usize = 64;

/// Which implementation scans. [`Kernel::detect`] picks the best of this machine; tests and benches pick by hand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kernel {
    /// Plain integer arithmetic on 64-bit words; runs everywhere.
    Portable,
    /// 32-byte vectors.
    Avx2,
    /// 64-byte vectors, two levels at a time.
    Avx512,
}

impl Kernel {
    /// Every implementation, plainest first.
    pub const ALL: [Self; 3] = [Self::Portable, Self::Avx2, Self::Avx512];

    /// True when this machine can run it.
    #[must_use]
    pub fn available(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        match self {
            Self::Portable => true,
            Self::Avx2 => {
                std::is_x86_feature_detected!("avx2")
                    && std::is_x86_feature_detected!("bmi1")
                    && std::is_x86_feature_detected!("bmi2")
            }
            Self::Avx512 => {
                Self::Avx2.available()
                    && std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512bw")
                    && std::is_x86_feature_detected!("avx512vl")
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        matches!(self, Self::Portable)
    }

    /// The fastest implementation that this machine can run.
    #[must_use]
    pub fn detect() -> Self {
        Self::ALL.into_iter().rev().find(|kernel| kernel.available()).unwrap_or(Self::Portable)
    }
}

/// Where a scanner puts levels. A closure `FnMut(Ticks, Lots) -> bool` is one.
pub trait LevelSink {
    /// Takes a level; `false` refuses it.
    fn push(&mut self, price: Ticks, qty: Lots) -> bool;
    /// Takes two levels (price and quantity of the first, then of the second); `false` refuses them.
    #[inline]
    fn push_two(&mut self, [price, qty, price2, qty2]: [i64; 4]) -> bool {
        self.push(Ticks(price), Lots(qty)) && self.push(Ticks(price2), Lots(qty2))
    }
}

impl<F: FnMut(Ticks, Lots) -> bool> LevelSink for F {
    #[inline]
    fn push(&mut self, price: Ticks, qty: Lots) -> bool {
        self(price, qty)
    }
}

/// Scans level arrays with a kernel that was checked once.
#[derive(Clone, Copy, Debug)]
pub struct Scanner {
    /// INVARIANT: available on this machine.
    kernel: Kernel,
}

impl Scanner {
    /// A scanner on `kernel`, or on the portable one where this machine cannot run it.
    #[must_use]
    pub fn new(kernel: Kernel) -> Self {
        Self { kernel: if kernel.available() { kernel } else { Kernel::Portable } }
    }

    /// The kernel in use.
    #[must_use]
    pub const fn kernel(self) -> Kernel {
        self.kernel
    }

    /// Reads the level array that starts at `at` in the document `buf[..len]`, hands each level to `sink` in order and
    /// returns the offset behind the closing bracket. `None` for anything but the exact compact form, for numbers that do not
    /// fit the columns' form, and when the sink refuses a level; levels pushed so far are then to be discarded.
    ///
    /// # Panics
    /// When `buf` has less than [`SPARE`] bytes behind `len`: a bug of the caller.
    #[inline]
    pub fn levels(
        self,
        buf: &[u8],
        len: usize,
        at: usize,
        price: &Column,
        qty: &Column,
        sink: &mut impl LevelSink,
    ) -> Option<usize> {
        assert!(buf.len() >= len + SPARE, "a document of {len} bytes in a buffer of {} has no spare bytes", buf.len());
        // A number is loaded as the 16 bytes before its closing quote.
        if at < 16 || at + 2 > len || buf[at] != b'[' {
            return None;
        }
        if buf[at + 1] == b']' {
            return Some(at + 2);
        }
        match self.kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 => x86::levels_avx512(buf, len, at + 1, price, qty, sink),
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx2 => x86::levels_avx2(buf, len, at + 1, price, qty, sink),
            _ => portable::levels(buf, len, at + 1, price, qty, sink),
        }
    }
}

/// The text of a best quote, up to the first number and between the numbers: `"b":"<price>","B":"<quantity>","a":...`.
pub const QUOTE_KEYS: [&[u8; 8]; 4] = [b"\"b\":\"\0\0\0", b"\",\"B\":\"\0", b"\",\"a\":\"\0", b"\",\"A\":\"\0"];

impl Scanner {
    /// Reads `"b":"<price>","B":"<quantity>","a":"<price>","A":"<quantity>"` at `at` and returns the four numbers and the offset
    /// behind it. `None` for anything else, for numbers that do not fit the columns' form, where it is longer than 64 bytes, and
    /// from the portable kernel: the caller then reads it field by field.
    ///
    /// # Panics
    /// As [`Scanner::levels`].
    #[inline]
    #[must_use]
    pub fn quote(self, buf: &[u8], len: usize, at: usize, price: &Column, qty: &Column) -> Option<([i64; 4], usize)> {
        assert!(buf.len() >= len + SPARE, "a document of {len} bytes in a buffer of {} has no spare bytes", buf.len());
        if at < 16 || at >= len {
            return None;
        }
        match self.kernel {
            #[cfg(target_arch = "x86_64")]
            Kernel::Avx512 | Kernel::Avx2 => x86::quote_avx2(buf, at, price, qty).filter(|(_, end)| *end <= len),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::Step;
    use proptest::prelude::*;

    /// What the array means, read the slow way; `None` for anything but the compact form.
    fn naive(text: &str, tick: Step, lot: Step) -> Option<Vec<(i64, i64)>> {
        let inner = text.strip_prefix('[')?.strip_suffix(']')?;
        if inner.is_empty() {
            return Some(Vec::new());
        }
        let inner = inner.strip_prefix("[\"")?.strip_suffix("\"]")?;
        let level = |level: &str| {
            let (price, qty) = level.split_once("\",\"")?;
            Some((tick.parse_count(price.as_bytes()).ok()?, lot.parse_count(qty.as_bytes()).ok()?))
        };
        inner.split("\"],[\"").map(level).collect()
    }

    fn scan(kernel: Kernel, text: &[u8], behind: u8, columns: (&Column, &Column)) -> Option<Vec<(i64, i64)>> {
        const HEAD: usize = 16;
        let mut buf = vec![b'"'; HEAD];
        buf.extend_from_slice(text);
        let len = buf.len();
        buf.resize(len + SPARE, behind);
        let mut levels = Vec::new();
        let mut push = |price: Ticks, qty: Lots| {
            levels.push((price.0, qty.0));
            true
        };
        let end = Scanner::new(kernel).levels(&buf, len, HEAD, columns.0, columns.1, &mut push)?;
        (end == len).then_some(levels)
    }

    fn steps() -> impl Strategy<Value = (Step, usize)> {
        let step = prop_oneof![Just("0.10"), Just("0.001"), Just("0.25"), Just("5"), Just("1"), Just("0.00000001")];
        (step, 0_usize..5).prop_map(|(step, more)| {
            let step = Step::parse(step.as_bytes()).unwrap();
            (step, if more == 4 { 0 } else { step.places() as usize + more })
        })
    }

    fn text(step: Step, places: usize, count: i64) -> String {
        let mut text = step.text(count);
        let have = step.places() as usize;
        if places > have {
            if have == 0 {
                text.push('.');
            }
            text.extend(std::iter::repeat_n('0', places - have));
        }
        text
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn every_kernel_reads_what_is_written_and_never_anything_else(
            (tick, price_places) in steps(),
            (lot, qty_places) in steps(),
            levels in prop::collection::vec((0_i64..100_000_000, prop_oneof![Just(0_i64), 0_i64..10_000_000]), 0..12),
            bite in prop::option::of((any::<prop::sample::Index>(), prop::sample::select(b"\"09.,[]{}e- \\\0\xff/:".to_vec()))),
            behind in prop::sample::select(b"\"0]\0".to_vec()),
        ) {
            let written: Vec<String> = levels
                .iter()
                .map(|(price, qty)| format!("[\"{}\",\"{}\"]", text(tick, price_places, *price), text(lot, qty_places, *qty)))
                .collect();
            let mut bytes = format!("[{}]", written.join(",")).into_bytes();
            if let Some((at, byte)) = bite {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            let oracle = std::str::from_utf8(&bytes).ok().and_then(|text| naive(text, tick, lot));
            let columns = (Column::new(tick, price_places), Column::new(lot, qty_places));
            let portable = scan(Kernel::Portable, &bytes, behind, (&columns.0, &columns.1));
            for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.available()) {
                let found = scan(kernel, &bytes, behind, (&columns.0, &columns.1));
                prop_assert_eq!(&found, &portable, "{:?} and the portable one differ", kernel);
            }
            if let Some(found) = portable {
                prop_assert_eq!(Some(found), oracle, "{}", String::from_utf8_lossy(&bytes));
            } else if bite.is_none() {
                // Only numbers longer than the fast forms, or with fewer decimals than the column, may be left to the general path.
                let short = |(price, qty): &(i64, i64)| {
                    let fits = |step, places, count| {
                        let text = text(step, places, count);
                        text.len() <= 16 && text.bytes().rev().position(|byte| byte == b'.').unwrap_or(0) == places
                    };
                    fits(tick, price_places, *price) && fits(lot, qty_places, *qty)
                };
                prop_assert!(!levels.iter().all(short), "{}", String::from_utf8_lossy(&bytes));
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn a_best_quote_is_read_as_its_four_numbers(
            (tick, price_places) in steps(),
            (lot, qty_places) in steps(),
            counts: [u32; 4],
            bite in prop::option::of((any::<prop::sample::Index>(), prop::sample::select(b"\"09.,:[b ".to_vec()))),
        ) {
            let columns = (Column::new(tick, price_places), Column::new(lot, qty_places));
            let [bid, bid_qty, ask, ask_qty] = counts.map(i64::from);
            let (price, qty) = (|n| text(tick, price_places, n), |n| text(lot, qty_places, n));
            let written = format!(
                r#""b":"{}","B":"{}","a":"{}","A":"{}""#, price(bid), qty(bid_qty), price(ask), qty(ask_qty)
            );
            let mut buf = vec![b' '; 16];
            buf.extend_from_slice(written.as_bytes());
            let len = buf.len();
            let bitten = bite.is_some_and(|(at, byte)| {
                let at = 16 + at.index(written.len());
                std::mem::replace(&mut buf[at], byte) != byte
            });
            buf.resize(len + SPARE, b'"');
            let naive = || {
                let text = std::str::from_utf8(&buf[16..len]).ok()?;
                let mut parts = text.split('"');
                let mut value = |key: &str, step: Step| {
                    let found = [parts.next()?, parts.next()?, parts.next()?];
                    (found[1] == key && found[2] == ":").then_some(())?;
                    step.parse_count(parts.next()?.as_bytes()).ok()
                };
                Some([value("b", tick)?, value("B", lot)?, value("a", tick)?, value("A", lot)?])
            };
            for kernel in Kernel::ALL.into_iter().filter(|kernel| kernel.available()) {
                let found = Scanner::new(kernel).quote(&buf, len, 16, &columns.0, &columns.1);
                if let Some((numbers, end)) = found {
                    // A quote that was put into the last number ends it early: what is behind it is the caller's to refuse.
                    prop_assert!(if bitten { buf[end - 1] == b'"' && end <= len } else { end == len }, "{}", written);
                    prop_assert_eq!(Some(numbers), naive());
                } else if kernel != Kernel::Portable && !bitten && written.len() <= 64 {
                    let short = [price(bid), qty(bid_qty), price(ask), qty(ask_qty)].iter().all(|text| text.len() <= 16);
                    let formed = |places: usize, step: Step| places == 0 || places >= step.places() as usize;
                    let is_formed = formed(price_places, tick) && formed(qty_places, lot)
                        && (price_places > 0 || tick.places() == 0) && (qty_places > 0 || lot.places() == 0);
                    prop_assert!(!(short && is_formed), "{}", written);
                }
            }
        }
    }

    #[test]
    fn a_full_sink_and_a_cut_array_stop_the_scan() {
        let column = Column::new(Step::parse(b"0.1").unwrap(), 1);
        for kernel in Kernel::ALL {
            for levels in 1..5 {
                let array = format!("[{}]", vec![r#"["1.0","2.0"]"#; levels].join(","));
                for cut in 0..array.len() {
                    let found = scan(kernel, &array.as_bytes()[..cut], array.as_bytes()[cut], (&column, &column));
                    assert_eq!(found, None, "{kernel:?} {cut} of {array}");
                }
                let mut buf = [b' '; 256];
                buf[16..16 + array.len()].copy_from_slice(array.as_bytes());
                let mut room = levels - 1;
                let mut push = |_, _| {
                    room = room.wrapping_sub(1);
                    room != usize::MAX
                };
                assert_eq!(Scanner::new(kernel).levels(&buf, 16 + array.len(), 16, &column, &column, &mut push), None);
            }
        }
    }

    #[test]
    fn eight_digits_are_their_number() {
        for number in [0_u64, 1, 12_345_678, 99_999_999, 10_000_000] {
            let digits: [u8; 8] = format!("{number:08}").into_bytes().try_into().unwrap();
            assert_eq!(eight_digits(u64::from_le_bytes(digits) ^ 0x3030_3030_3030_3030), number);
        }
    }
}
