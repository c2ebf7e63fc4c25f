//! The scanners against the general JSON path: on every frame of the recorded sessions where they are there, and on frames of
//! our own writing everywhere, whole, cut, reordered and defaced.

#[path = "support/alloc.rs"]
mod alloc;

use alloc::{Counting, allocations};
use spinquote::event::{Event, Level};
use spinquote::instrument::Instrument;
use spinquote::unit::{DecimalError, Step};
use spinquote::venue::binance::usdm::market::MarketDecoder;
use spinquote::venue::codec::{DecodeError, MarketMessage};
use spinquote::wire::simd::Kernel;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const OWN: &[&str] = &[
    r#"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1700000000016,"T":1700000000009,"s":"BTCUSDT","U":900100,"u":900121,"pu":900099,"b":[["42300.00","2.788"],["7577.40","0.000"],["28023.80","10021.638"]],"a":[["42300.10","0.318"],["101055.20","0.001"]]}}"#,
    r#"{"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1700000000016,"T":1700000000009,"s":"BTCUSDT","U":900100,"u":900121,"pu":900099,"b":[],"a":[["42300.10","0.318"]]}}"#,
    r#"{"e":"depthUpdate","E":1700000000016,"T":1700000000009,"s":"BTCUSDT","ps":"BTCUSDT","U":900100,"u":900121,"pu":900099,"b":[["42300.00","2.788"],["42299.00","2.788"]],"a":[],"st":1}"#,
    r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":900122,"s":"BTCUSDT","b":"42300.00","B":"2.507","a":"42300.10","A":"12.510","T":1700000000313,"E":1700000000313}}"#,
    r#"{"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":900122,"s":"BTCUSDT","ps":"BTCUSDT","b":"42300.00","B":"2.507","a":"42300.10","A":"12.510","T":1700000000313,"E":1700000000313,"st":1}}"#,
    r#"{"stream":"btcusdt@trade","data":{"e":"trade","E":1700000000322,"T":1700000000321,"s":"BTCUSDT","t":77001,"p":"42300.10","q":"0.006","X":"MARKET","m":false}}"#,
    r#"{"e":"trade","E":1700000000322,"T":1700000000321,"s":"BTCUSDT","t":77002,"p":"42300.10","q":"0.006","X":"INSURANCE_FUND","m":true}"#,
];

fn btc() -> Vec<Instrument> {
    vec![Instrument::synthetic("ETHUSDT", "0.01", "0.001"), Instrument::synthetic("BTCUSDT", "0.10", "0.001")]
}

/// One decoder per kernel of this machine, and last the one without a scanner: the oracle.
struct Panel {
    decoders: Vec<(Option<Kernel>, MarketDecoder)>,
    buf: Vec<u8>,
}

impl Panel {
    fn new() -> Self {
        let kernels = Kernel::ALL.into_iter().filter(|kernel| kernel.available()).map(Some).chain([None]);
        let decoders = kernels.map(|kernel| (kernel, MarketDecoder::with_kernel(&btc(), kernel))).collect();
        Self { decoders, buf: Vec::new() }
    }

    /// What every decoder says of the frame, as text; all must say the same. What lies behind the frame must not matter.
    fn agree(&mut self, frame: &[u8], behind: &[u8]) -> String {
        let mut said: Option<String> = None;
        for (kernel, decoder) in self.decoders.iter_mut().rev() {
            self.buf.clear();
            self.buf.extend_from_slice(frame);
            self.buf.extend_from_slice(behind);
            self.buf.resize(frame.len() + behind.len().max(64), b'"');
            let answer = format!("{:?}", decoder.decode(&mut self.buf, frame.len()));
            assert!(self.buf[frame.len()..].starts_with(behind), "bytes behind the frame were changed");
            match &said {
                None => said = Some(answer),
                Some(oracle) => {
                    assert_eq!(&answer, oracle, "{kernel:?} differs on {}", String::from_utf8_lossy(frame));
                }
            }
        }
        said.unwrap()
    }
}

fn recording(name: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("SPINQUOTE_DATA") {
        Some(root) => PathBuf::from(root),
        None => PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
    };
    let path = root.join("binance_usdm").join(name);
    if path.is_file() {
        return Some(path);
    }
    eprintln!("recording {name} not found: this test ran on frames of its own only");
    None
}

#[test]
fn every_recorded_frame_reads_the_same_on_every_path() {
    for name in ["btcusdt_20230405.dat.gz", "btcusdt_20240808.gz"] {
        let Some(path) = recording(name) else { continue };
        let mut panel = Panel::new();
        let lines = BufReader::new(flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())).lines();
        let (mut frames, mut hot) = (0_u64, 0_u64);
        for line in lines {
            let line = line.unwrap();
            let (_, frame) = line.split_once(' ').unwrap();
            frames += 1;
            if frame.starts_with(r#"{"lastUpdateId""#) {
                continue;
            }
            hot += u64::from(frame.contains("@depth@") || frame.contains("@bookTicker") || frame.contains("@trade"));
            let answer = panel.agree(frame.as_bytes(), b"");
            // Prints of the insurance fund are in the recordings.
            let of_market = !frame.contains("INSURANCE_FUND");
            assert!(answer.starts_with(if of_market { "Ok(Event(" } else { "Ok(Ignored)" }), "{answer} for {frame}");
        }
        assert!(frames > 60_000, "{frames} frames in {name}");
        for (kernel, decoder) in &panel.decoders {
            let scanned = if kernel.is_some() { hot } else { 0 };
            assert_eq!(decoder.counts().scanned, scanned, "{kernel:?} read every frequent frame without help");
        }
    }
}

#[test]
fn own_frames_take_the_scanner() {
    let mut panel = Panel::new();
    for frame in OWN {
        panel.agree(frame.as_bytes(), b"");
    }
    for (kernel, decoder) in &panel.decoders {
        assert_eq!(decoder.counts().scanned, if kernel.is_some() { OWN.len() as u64 } else { 0 }, "{kernel:?}");
        assert_eq!(decoder.counts().ignored, 1, "the insurance fund's print");
    }
}

#[test]
fn a_cut_frame_is_not_json_whatever_lies_behind_it() {
    let mut panel = Panel::new();
    for frame in OWN {
        for cut in 0..frame.len() {
            // The rest of the frame behind the cut is the hardest garbage: a scanner that runs on would read it.
            let answer = panel.agree(&frame.as_bytes()[..cut], &frame.as_bytes()[cut..]);
            assert_eq!(answer, "Err(NotJson)", "cut at {cut} of {frame}");
        }
    }
}

#[test]
fn a_changed_byte_never_divides_the_paths() {
    let mut panel = Panel::new();
    for frame in OWN {
        for at in 0..frame.len() {
            for byte in *b"\"09,.:-[]{} e\\\x00\xffz" {
                let mut bytes = frame.as_bytes().to_vec();
                bytes[at] = byte;
                panel.agree(&bytes, b"");
            }
        }
    }
}

#[test]
fn white_space_and_reordered_keys_mean_the_same() {
    let mut panel = Panel::new();
    let plain = panel.agree(OWN[0].as_bytes(), b"");
    for other in [
        OWN[0].replace(',', ", "),
        OWN[0].replace(':', " :\n"),
        format!("{}\n", OWN[0]),
        r#"{"data":{"a":[["42300.10","0.318"],["101055.20","0.001"]],"b":[["42300.00","2.788"],["7577.40","0.000"],["28023.80","10021.638"]],"pu":900099,"u":900121,"U":900100,"s":"BTCUSDT","T":1700000000009,"E":1700000000016,"e":"depthUpdate"},"stream":"x"}"#.to_owned(),
        OWN[0].replace("42300.00", "42300.0").replace("7577.40", "7577.4000000000000000"),
        OWN[0].replace("BTCUSDT", "\\u0042TCUSDT"),
        OWN[0].replace("\"U\":", "\"nq\":{\"x\":[1,2.5e3,null]},\"U\":"),
    ] {
        assert_eq!(panel.agree(other.as_bytes(), b""), plain, "{other}");
    }
}

#[test]
fn a_bad_number_is_a_fault_and_never_a_price() {
    let tick = Step::parse(b"0.10").unwrap();
    for (text, fault) in [
        ("42300.05", DecodeError::BadNumber { key: "b", fault: DecimalError::OffStep { step: tick } }),
        ("42300e0", DecodeError::BadNumber { key: "b", fault: DecimalError::BadByte { byte: b'e', at: 5 } }),
        ("-42300.00", DecodeError::Negative { key: "b" }),
        ("", DecodeError::BadNumber { key: "b", fault: DecimalError::Empty }),
        ("42300.", DecodeError::BadNumber { key: "b", fault: DecimalError::Empty }),
        (".10", DecodeError::BadNumber { key: "b", fault: DecimalError::BadByte { byte: b'.', at: 0 } }),
        ("99999999999999999999999.00", DecodeError::BadNumber { key: "b", fault: DecimalError::Overflow }),
        ("4 2300.00", DecodeError::BadNumber { key: "b", fault: DecimalError::BadByte { byte: b' ', at: 1 } }),
    ] {
        let mut panel = Panel::new();
        for frame in [OWN[0], OWN[2], OWN[3]] {
            let frame = frame.replace("42300.00", text);
            assert_eq!(panel.agree(frame.as_bytes(), b""), format!("{:?}", Err::<(), _>(fault)), "{frame}");
        }
    }
}

#[test]
fn values_are_the_ones_written() {
    let mut decoder = MarketDecoder::new(&btc());
    let mut frame = OWN[0].as_bytes().to_vec();
    let len = frame.len();
    frame.resize(len + 64, 0);
    let Ok(MarketMessage::Event(Event::Depth(depth))) = decoder.decode(&mut frame, len) else { panic!() };
    let pairs = |levels: &[Level]| levels.iter().map(|level| (level.price.0, level.qty.0)).collect::<Vec<_>>();
    assert_eq!(pairs(depth.bids), [(423_000, 2_788), (75_774, 0), (280_238, 10_021_638)]);
    assert_eq!(pairs(depth.asks), [(423_001, 318), (1_010_552, 1)]);
    assert_eq!((depth.first.0, depth.last.0, depth.prev.0), (900_100, 900_121, 900_099));
    assert_eq!((depth.instrument.0, depth.venue_time.as_millis()), (1, 1_700_000_000_009));
}

#[test]
fn no_path_allocates_from_the_first_message_on() {
    let long = {
        let level = r#"["42300.10","0.318"]"#;
        let levels = vec![level; 2_000].join(", ");
        OWN[0].replace(r#"["42300.10","0.318"]"#, &levels)
    };
    let odd = [
        long.clone(),
        OWN[0].replace(',', ", "),
        OWN[0][..200].to_owned(),
        OWN[0].replace("BTCUSDT", "NOSUCHUSDT"),
        OWN[0].replace("42300.00", "4e4"),
        "[".repeat(100_000),
        "[[],".repeat(25_000),
        r#"{"result":null,"id":1}"#.to_owned(),
    ];
    let frames = || OWN.iter().map(|frame| frame.to_string()).chain(odd.iter().cloned());
    let mut padded: Vec<(Vec<u8>, usize)> = frames()
        .map(|frame| {
            let mut bytes = frame.into_bytes();
            let len = bytes.len();
            bytes.resize(len + 64, 0);
            (bytes, len)
        })
        .collect();
    for kernel in Kernel::ALL.into_iter().map(Some).chain([None]) {
        let mut decoder = MarketDecoder::with_kernel(&btc(), kernel);
        for (frame, len) in &mut padded {
            let count = allocations(|| {
                let _ = std::hint::black_box(decoder.decode(frame, *len));
            });
            let head = String::from_utf8_lossy(&frame[..(*len).min(120)]);
            assert_eq!(count, 0, "{kernel:?} allocated on {head}");
        }
    }
}
