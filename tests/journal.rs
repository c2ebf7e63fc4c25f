//! The journal as its users see it: what was appended is read back, live and dead, over segments, after damage, at its bounds.

use proptest::prelude::*;
use spinquote::journal::record::{self, Loss};
use spinquote::journal::{
    AppendError, ClockSource, Damage, End, JournalError, JournalSettings, ReadError, Reader, Retention, RunDir,
    Segments, Writer, start,
};
use spinquote::unit::Nanos;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const T0: Nanos = Nanos(1_700_000_000_000_000_000);

fn settings(dir: &Path) -> JournalSettings {
    let mut settings = JournalSettings::new(RunDir::new(dir), 7, ClockSource::Virtual);
    settings.segment_bytes = 4096;
    settings.lock = false;
    settings
}

fn journal() -> (TempDir, Writer, Segments) {
    let dir = tempfile::tempdir().unwrap();
    let (writer, segments) = start(settings(dir.path()), T0).unwrap();
    (dir, writer, segments)
}

fn reader(dir: &TempDir) -> Reader {
    Reader::open(RunDir::new(dir.path())).unwrap()
}

/// A payload that names its record.
fn payload(seq: u64) -> Vec<u8> {
    seq.to_le_bytes().iter().copied().cycle().take(8 + (seq as usize * 13) % 300).collect()
}

fn append(writer: &mut Writer, count: u64) {
    for _ in 0..count {
        let seq = writer.last_seq() + 1;
        let bytes = payload(seq);
        let (head, tail) = bytes.split_at(3);
        assert_eq!(writer.append(record::FRAME, Nanos(T0.0 + seq as i64), &[head, &[], tail]), Ok(seq));
    }
}

fn read_all(reader: &mut Reader) -> Vec<(u64, Vec<u8>)> {
    let mut all = Vec::new();
    while let Some(found) = reader.next().unwrap() {
        assert_eq!((found.kind, found.time), (record::FRAME, Nanos(T0.0 + found.seq as i64)));
        all.push((found.seq, found.payload.to_vec()));
    }
    all
}

#[test]
fn a_reader_follows_a_live_writer_over_segments() {
    let (dir, mut writer, mut segments) = journal();
    let mut follower = reader(&dir);
    let mut seen = Vec::new();
    for _ in 0..40 {
        append(&mut writer, 7);
        seen.extend(read_all(&mut follower));
        assert!(follower.next().unwrap().is_none());
        segments.housekeep(T0).unwrap();
    }
    writer.close();
    segments.finish().unwrap();
    assert_eq!(read_all(&mut reader(&dir)), seen);
    assert!(follower.segment().index > 5, "several segments were used");
    for (seq, bytes) in &seen {
        assert_eq!(*bytes, payload(*seq));
    }
}

#[test]
fn an_orderly_end_is_told_from_an_open_one_and_leaves_no_unused_file() {
    let (dir, mut writer, segments) = journal();
    append(&mut writer, 5);
    let open = Reader::verify(RunDir::new(dir.path())).unwrap();
    assert!(matches!(open.end, End::Open), "{open:?}");
    writer.append(record::RUN_END, T0, &[&[0]]).unwrap();
    writer.close();
    segments.finish().unwrap();
    let done = Reader::verify(RunDir::new(dir.path())).unwrap();
    assert!(matches!(done.end, End::Clean), "{done:?}");
    assert_eq!((done.records, done.last_seq, done.segments, done.lost), (6, 6, 1, 0));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(fs::metadata(dir.path().join("events-000000.sqj")).unwrap().len(), 64 + done.bytes);
}

#[test]
fn without_a_ready_segment_the_writer_says_full_and_marks_the_loss() {
    let (dir, mut writer, mut segments) = journal();
    let mut good = 0;
    while writer.append(record::FRAME, T0, &[&[1; 500]]).is_ok() {
        good += 1;
    }
    // Even a record that would fit the rest is refused: it must not hide the loss.
    assert_eq!(writer.append(record::TIMER, Nanos(5), &[]), Err(AppendError::Full));
    assert_eq!(writer.lost_total(), 2);
    segments.housekeep(T0).unwrap();
    writer.append(record::FRAME, T0, &[&[2; 10]]).unwrap();
    let mut kinds = Vec::new();
    let mut reader = reader(&dir);
    while let Some(found) = reader.next().unwrap() {
        kinds.push(found.kind);
        if found.kind == record::LOSS {
            assert_eq!(Loss::decode(found.payload), Ok(Loss { records: 2, since: T0 }));
        }
    }
    assert_eq!(kinds.len(), good + 2);
    assert_eq!(kinds[good..], [record::LOSS, record::FRAME]);
    assert_eq!(Reader::verify(RunDir::new(dir.path())).unwrap().lost, 2);
}

#[test]
fn a_record_larger_than_a_segment_is_refused_and_the_largest_one_fits() {
    let (_dir, mut writer, _segments) = journal();
    let max = writer.payload_max();
    append(&mut writer, 3);
    let huge = vec![9; max + 1];
    assert_eq!(writer.append(record::SNAPSHOT, T0, &[&huge]), Err(AppendError::TooLarge { bytes: max + 1, max }));
    // After the refusal the loss mark and the largest record share a new segment.
    assert_eq!(writer.append(record::SNAPSHOT, T0, &[&huge[..max]]), Ok(5));
}

#[test]
fn the_bound_stops_the_journal_or_drops_the_oldest_segments() {
    let dir = tempfile::tempdir().unwrap();
    let mut bounded = settings(dir.path());
    bounded.bytes_max = 5 * 4096;
    let (mut writer, mut segments) = start(bounded.clone(), T0).unwrap();
    let mut refused = None;
    while refused.is_none() {
        if writer.append(record::FRAME, T0, &[&[1; 900]]).is_err() {
            break;
        }
        refused = segments.housekeep(T0).err();
    }
    assert!(matches!(refused, Some(JournalError::BytesMax { bytes_max: 20_480, .. })), "{refused:?}");

    let dir = tempfile::tempdir().unwrap();
    bounded.run_dir = RunDir::new(dir.path());
    bounded.retention = Retention::DropOldest;
    let (mut writer, mut segments) = start(bounded, T0).unwrap();
    let mut removed = 0;
    for _ in 0..100 {
        append(&mut writer, 3);
        removed += segments.housekeep(T0).unwrap().removed;
        assert!(segments.bytes() <= 5 * 4096);
    }
    let report = Reader::verify(RunDir::new(dir.path())).unwrap();
    assert!(removed > 2 && report.first_segment == removed as u64, "{report:?}");
    assert!(matches!(report.end, End::Open) && report.last_seq == writer.last_seq(), "{report:?}");
}

#[test]
fn live_segments_may_lie_elsewhere_and_are_read_from_the_run_directory_all_the_same() {
    let (dir, memory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut elsewhere = settings(dir.path());
    elsewhere.live_dir = Some(memory.path().join("live"));
    let (mut writer, mut segments) = start(elsewhere, T0).unwrap();
    let mut follower = reader(&dir);
    let mut count = 0;
    for _ in 0..20 {
        append(&mut writer, 7);
        count += read_all(&mut follower).len();
        segments.housekeep(T0).unwrap();
    }
    assert_eq!((count, reader(&dir).next().unwrap().unwrap().seq), (140, 1));
    assert!(
        !fs::symlink_metadata(dir.path().join("events-000000.sqj")).unwrap().is_symlink(),
        "sealed ones are copied"
    );
    writer.close();
    segments.finish().unwrap();
    assert_eq!(read_all(&mut reader(&dir)).len(), 140);
    assert_eq!(fs::read_dir(memory.path().join("live")).unwrap().count(), 0);
}

#[test]
fn a_writer_that_was_not_closed_keeps_its_records() {
    let (dir, mut writer, segments) = journal();
    append(&mut writer, 5);
    segments.finish().unwrap();
    assert_eq!(read_all(&mut reader(&dir)).len(), 5);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn a_missing_segment_and_an_empty_directory_have_their_names() {
    let (dir, mut writer, mut segments) = journal();
    for _ in 0..20 {
        append(&mut writer, 7);
        segments.housekeep(T0).unwrap();
    }
    fs::remove_file(dir.path().join("events-000002.sqj")).unwrap();
    let report = Reader::verify(RunDir::new(dir.path())).unwrap();
    assert!(matches!(report.end, End::Damaged(ReadError::Missing(_))), "{report:?}");
    let empty = tempfile::tempdir().unwrap();
    assert!(matches!(Reader::open(RunDir::new(empty.path())), Err(ReadError::NoSegments(_))));
}

/// A finished run of several segments, as bytes.
fn finished() -> Vec<(String, Vec<u8>)> {
    let (dir, mut writer, mut segments) = journal();
    for _ in 0..9 {
        append(&mut writer, 7);
        segments.housekeep(T0).unwrap();
    }
    writer.close();
    segments.finish().unwrap();
    let mut files: Vec<_> = fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    assert!(files.len() >= 3);
    files
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// Whatever is done to the files, the reader gives a prefix of the true records and then names the damage (or the end).
    #[test]
    fn a_damaged_journal_is_read_up_to_the_damage_and_never_wrong(
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 1_u8..), 1..4),
        cut in prop::option::of((any::<prop::sample::Index>(), any::<prop::sample::Index>())),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut files = finished();
        let damaged_before = files.clone();
        for (file, at, flip) in flips {
            let bytes = &mut file.get_mut(&mut files).1;
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        if let Some((file, at)) = cut {
            let bytes = &mut file.get_mut(&mut files).1;
            let at = at.index(bytes.len());
            bytes.truncate(at);
        }
        for (name, bytes) in &files {
            fs::write(dir.path().join(name), bytes).unwrap();
        }
        let mut next = 1;
        let end = match Reader::open(RunDir::new(dir.path())) {
            Err(error) => Some(error),
            Ok(mut reader) => loop {
                match reader.next() {
                    Ok(Some(found)) => {
                        prop_assert_eq!(found.seq, next);
                        prop_assert_eq!(found.payload, payload(found.seq));
                        next += 1;
                    }
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            },
        };
        // Silence is only right where the damage undid itself or left a shorter journal: a zeroed length or a cut at a record's start
        // in the last segment.
        if end.is_none() && files != damaged_before {
            prop_assert!(files.last() != damaged_before.last());
        }
    }
}

#[test]
fn damage_is_named_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = finished();
    files[1].1[64 + 40] ^= 1;
    for (name, bytes) in &files {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    match Reader::verify(RunDir::new(dir.path())).unwrap().end {
        End::Damaged(ReadError::Damaged { place, damage: Damage::Checksum, .. }) => {
            assert_eq!((place.segment, place.offset), (1, 64));
        }
        other => panic!("{other:?}"),
    }
}
