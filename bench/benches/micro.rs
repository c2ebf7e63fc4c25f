//! `cargo bench -p spinquote-bench --bench micro`: the hot functions under criterion, on the works whose instructions `icount` counts.
//! Single values with their spread, kept in `target/criterion`; what is compared with peers is in `latency`.

use criterion::{Criterion, criterion_group, criterion_main};
use spinquote_bench::icount::{WORK, work};
use std::time::{Duration, Instant};

/// Plays a work once; the time of `wanted` operations at that pace. Preparing it is not timed.
fn time(name: &str, wanted: u64) -> Duration {
    let mut took = Duration::ZERO;
    let operations = work(name, &mut |work| {
        let start = Instant::now();
        work();
        took += start.elapsed();
    });
    took.mul_f64(wanted as f64 / operations as f64)
}

fn hot(criterion: &mut Criterion) {
    for &(name, unit) in WORK {
        criterion
            .bench_function(&format!("{name}, per {unit}"), |bencher| bencher.iter_custom(|wanted| time(name, wanted)));
    }
}

criterion_group! {
    name = benches;
    // A sample plays the synthetic market once.
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .without_plots();
    targets = hot
}
criterion_main!(benches);
