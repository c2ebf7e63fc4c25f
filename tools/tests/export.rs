//! `sq export` and `sq prom`: what leaves for other programs, read back.

mod support;

use parquet::basic::LogicalType;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use support::{Fixture, golden, played, publish};

#[test]
fn csv_has_every_record_and_sums_like_stat() {
    let run = played();
    let said = run.sq("export -o out");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let stat: serde_json::Value = serde_json::from_str(&run.sq("journal stat --json").out).unwrap();
    for (kind, sum) in stat["kinds"].as_object().unwrap() {
        let text = fs::read_to_string(run.path().join(format!("out/{kind}.csv"))).unwrap();
        let rows = csv(&text);
        assert_eq!(rows.len() as u64 - 1, sum["records"].as_u64().unwrap(), "{kind}");
        assert!(rows.iter().all(|row| row.len() == rows[0].len()), "{kind}");
        assert_eq!(rows[1][1], sum["first_time_ns"].to_string());
    }
    let orders = csv(&fs::read_to_string(run.path().join("out/order.csv")).unwrap());
    let column = |name: &str| orders[0].iter().position(|column| column == name).unwrap();
    let fills: Vec<_> = orders.iter().filter(|row| row[column("what")] == "fill").collect();
    assert_eq!(fills.iter().map(|row| row[column("fill_qty_lots")].parse::<i64>().unwrap()).sum::<i64>(), 8);
    assert_eq!((fills[0][column("fee")].as_str(), fills[0][column("code")].as_str()), ("0.0247204", ""));
    let frames = csv(&fs::read_to_string(run.path().join("out/frame.csv")).unwrap());
    assert_eq!(frames[1].last().unwrap(), support::DEPTH, "quoted and back");
    let again = run.sq("export -o out");
    assert!(again.code == 1 && again.err.contains("is there already; --force writes over it"), "{}", again.err);
    assert_eq!(run.sq("export -o out --force").code, 0);
}

#[test]
fn json_lines_filters_and_the_list_of_columns() {
    let run = played();
    assert_eq!(run.sq("export -o j --format jsonl --kind order,command").code, 0);
    let lines = fs::read_to_string(run.path().join("j/command.jsonl")).unwrap();
    let rows: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((rows.len(), &rows[0]["price"]), (5, &"61799.0".into()));
    assert_eq!(fs::read_dir(run.path().join("j")).unwrap().count(), 2);
    golden("columns.txt", &run.sq("export --columns").out);
}

/// The values of a column, in order.
fn parquet_column(path: &std::path::Path, name: &str) -> Vec<Field> {
    let reader = SerializedFileReader::new(fs::File::open(path).unwrap()).unwrap();
    let pick = |row: parquet::record::Row| row.get_column_iter().find(|(column, _)| *column == name).unwrap().1.clone();
    reader.get_row_iter(None).unwrap().map(|row| pick(row.unwrap())).collect()
}

/// A decimal of the files as whole 1e-18.
fn exact(field: &Field) -> i128 {
    let Field::Decimal(decimal) = field else { panic!("{field:?} is no decimal") };
    assert_eq!((decimal.precision(), decimal.scale()), (38, 18));
    i128::from_be_bytes(decimal.data().try_into().unwrap())
}

#[test]
fn parquet_has_every_record_and_sums_like_stat() {
    let run = played();
    let said = run.sq("export -o out --format parquet");
    assert_eq!((said.code, said.err.as_str()), (0, ""));
    let stat: serde_json::Value = serde_json::from_str(&run.sq("journal stat --json").out).unwrap();
    for (kind, sum) in stat["kinds"].as_object().unwrap() {
        let path = run.path().join(format!("out/{kind}.parquet"));
        let reader = SerializedFileReader::new(fs::File::open(&path).unwrap()).unwrap();
        let meta = reader.metadata().file_metadata();
        assert_eq!(meta.num_rows().unsigned_abs(), sum["records"].as_u64().unwrap(), "{kind}");
        let times = parquet_column(&path, "time_ns");
        let Field::Long(first) = times[0] else { panic!("{:?}", times[0]) };
        assert_eq!(Some(first), sum["first_time_ns"].as_i64(), "{kind}");
        let notes = meta.key_value_metadata().unwrap();
        assert!(
            notes.iter().any(|note| note.key == "spinquote.run" && note.value.as_deref() == Some("20231114-221320"))
        );
        assert!(notes.iter().any(|note| note.key == "column.time_ns" && note.value.is_some()));
        // The same columns as CSV has.
        assert_eq!(run.sq(&format!("export -o csv-{kind} --kind {kind}")).code, 0);
        let header = fs::read_to_string(run.path().join(format!("csv-{kind}/{kind}.csv"))).unwrap();
        let names: Vec<&str> = meta.schema_descr().columns().iter().map(|column| column.name()).collect();
        assert_eq!(header.lines().next().unwrap(), names.join(","), "{kind}");
    }
    let orders = run.path().join("out/order.parquet");
    let fills: i128 =
        parquet_column(&orders, "fill_qty").iter().filter(|field| **field != Field::Null).map(exact).sum();
    assert_eq!(fills, 8 * 10_i128.pow(15), "0.008, the second execution told twice");
    let lots: i64 = parquet_column(&orders, "fill_qty_lots")
        .iter()
        .map(|field| if let Field::Long(lots) = field { *lots } else { 0 })
        .sum();
    assert_eq!(lots, 8);
    assert_eq!(
        parquet_column(&orders, "trade_id").iter().filter(|field| matches!(field, Field::ULong(901))).count(),
        1
    );
    assert_eq!(parquet_column(&run.path().join("out/frame.parquet"), "data")[0], Field::Str(support::DEPTH.to_owned()));
    let reader = SerializedFileReader::new(fs::File::open(&orders).unwrap()).unwrap();
    let schema = reader.metadata().file_metadata().schema_descr();
    let fee = schema.columns().iter().find(|column| column.name() == "fee").unwrap();
    assert!(matches!(fee.logical_type_ref(), Some(LogicalType::Decimal { .. })), "{fee:?}");
}

/// What `sq export` writes, as the engines that people use read it. `SPINQUOTE_PYTHON` names a Python that has Polars or DuckDB.
#[test]
fn polars_and_duckdb_read_the_same_sums() {
    let Ok(python) = std::env::var("SPINQUOTE_PYTHON") else {
        eprintln!("not run: SPINQUOTE_PYTHON names no Python with polars or duckdb");
        return;
    };
    let run = played();
    assert_eq!(run.sq("export -o out --format parquet").code, 0);
    let stat: serde_json::Value = serde_json::from_str(&run.sq("journal stat --json").out).unwrap();
    let script = r#"
import glob, json, os, sys
out, engines = {}, []
files = sorted(glob.glob(sys.argv[1] + "/*.parquet"))
name = lambda path: os.path.basename(path)[:-8]
try:
    import polars
    order = polars.read_parquet(sys.argv[1] + "/order.parquet").filter(polars.col("what") == "fill")
    out["polars"] = [{name(f): polars.read_parquet(f).height for f in files}, str(order["fill_qty"].sum()), str(order["fee"].sum())]
except ImportError: pass
try:
    import duckdb
    sums = duckdb.sql(f"select sum(fill_qty)::varchar, sum(fee)::varchar from '{sys.argv[1]}/order.parquet' where what = 'fill'").fetchall()[0]
    out["duckdb"] = [{name(f): duckdb.sql(f"select count(*) from '{f}'").fetchall()[0][0] for f in files}, *sums]
except ImportError: pass
print(json.dumps(out))
"#;
    let output = Command::new(python).args(["-c", script]).arg(run.path().join("out")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let read: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let read = read.as_object().unwrap();
    if read.is_empty() {
        eprintln!("not run: the Python of SPINQUOTE_PYTHON has neither polars nor duckdb");
    }
    for (engine, found) in read {
        for (kind, sum) in stat["kinds"].as_object().unwrap() {
            assert_eq!(found[0][kind], sum["records"], "{engine}: {kind}");
        }
        let trimmed = |at: usize| found[at].as_str().unwrap().trim_end_matches('0').to_owned();
        assert_eq!((trimmed(1).as_str(), trimmed(2).as_str()), ("0.008", "0.0988816"), "{engine}");
    }
}

#[test]
fn what_cannot_be_decoded_and_damage_are_kept_apart() {
    let mut run = Fixture::new();
    run.frame(1, "{}");
    run.put(1, spinquote::journal::record::ORDER, &[&[1, 2, 3]]);
    run.put(1, 777, &[b"new kind"]);
    run.frame(1, "{}");
    run.close();
    let path = run.run_dir().join("events-000000.sqj");
    let mut bytes = fs::read(&path).unwrap();
    let last = bytes.len() - 4;
    bytes[last] ^= 1;
    fs::write(&path, bytes).unwrap();
    let said = run.sq("export -o out");
    assert!(
        said.code == 1 && said.err.contains("the journal ends in damage; all before it was written"),
        "{}",
        said.err
    );
    assert_eq!(csv(&fs::read_to_string(run.path().join("out/frame.csv")).unwrap()).len(), 2);
    let strange = csv(&fs::read_to_string(run.path().join("out/undecoded.csv")).unwrap());
    assert_eq!(strange[0], ["seq", "time_ns", "kind", "error", "payload"]);
    assert_eq!((strange[1][2].as_str(), strange[1][4].as_str()), ("order", "010203"));
    assert_eq!(strange[2][2], "kind-777");
    assert_eq!(run.sq("export -o p --format parquet").code, 1);
    let kinds = parquet_column(&run.path().join("p/undecoded.parquet"), "kind");
    assert_eq!(kinds, [Field::Str("order".to_owned()), Field::Str("kind-777".to_owned())]);
}

/// Reads RFC 4180.
fn csv(text: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut cell)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut cell));
                rows.push(std::mem::take(&mut row));
            }
            other => cell.push(other),
        }
    }
    rows
}

/// A server that ends with the test.
struct Server(Child, String);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(run: &Fixture, more: &[&str]) -> Server {
    let args = [&["prom", "--listen", "127.0.0.1:0"], more].concat();
    let mut child = support::process(run.path()).args(args).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening http://").unwrap().strip_suffix("/metrics").unwrap().to_owned();
    Server(child, address)
}

fn ask(server: &Server, head: &str) -> String {
    let mut stream = TcpStream::connect(&server.1).unwrap();
    stream.write_all(format!("{head}\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

#[test]
fn prometheus_text_once_is_well_formed() {
    let run = played();
    let text = run.sq("prom --once").out;
    for line in [
        "spinquote_run_info{run=\"20231114-221320\"} 1",
        "spinquote_up 0",
        "# TYPE spinquote_sender_orders_new_total counter",
        "spinquote_sender_orders_new_total 3",
        "spinquote_engine_wallet 9999.938199",
        "spinquote_instrument_position_lots{instrument=\"BTCUSDT\"} -5",
        "spinquote_engine_heartbeat_timestamp_seconds 1700000001.123366",
        "spinquote_latency_seconds_count{stage=\"decode\"} 1001",
    ] {
        assert!(text.lines().any(|printed| printed == line), "missing {line} in:\n{text}");
    }
    // Every sample follows its own HELP and TYPE, and no metric comes twice.
    let mut metrics = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(rest) => metrics.push(rest.split(' ').next().unwrap().to_owned()),
            None if line.starts_with('#') => {
                assert!(line.starts_with("# HELP ") && line.split(' ').count() > 3, "{line}")
            }
            None => {
                assert!(line.starts_with(metrics.last().unwrap()), "{line}");
                assert!(line.rsplit(' ').next().unwrap().parse::<f64>().is_ok(), "{line}");
            }
        }
    }
    let count = metrics.len();
    metrics.sort();
    metrics.dedup();
    assert_eq!(metrics.len(), count);
}

#[test]
fn prometheus_is_served_on_loopback_and_nothing_else_is() {
    let run = Fixture::new();
    publish(&run, run.now);
    let server = serve(&run, &[]);
    let said = ask(&server, "GET /metrics HTTP/1.1");
    assert!(
        said.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4")
            && said.contains("spinquote_up 0")
    );
    assert!(ask(&server, "GET /etc/passwd HTTP/1.1").starts_with("HTTP/1.1 404 "));
    assert!(ask(&server, "POST /metrics HTTP/1.1").starts_with("HTTP/1.1 405 "));
    assert!(ask(&server, &"x".repeat(9000)).starts_with("HTTP/1.1 400 "));
    fs::remove_file(run.run_dir().join("counters.sqc")).unwrap();
    assert!(ask(&server, "GET /metrics HTTP/1.1").starts_with("HTTP/1.1 503 "));
}

#[test]
fn a_scrape_brings_the_token_where_there_is_one() {
    let run = played();
    let path = run.path().join("token");
    fs::write(&path, "0123456789abcdef\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let server = serve(&run, &["--token-file", "token"]);
    assert!(ask(&server, "GET /metrics HTTP/1.1").starts_with("HTTP/1.1 401 "));
    assert!(
        ask(&server, "GET /metrics HTTP/1.1\r\nAuthorization: Bearer 0123456789abcdeX").starts_with("HTTP/1.1 401 ")
    );
    assert!(
        ask(&server, "GET /metrics HTTP/1.1\r\nauthorization: Bearer 0123456789abcdef").starts_with("HTTP/1.1 200 ")
    );
}
