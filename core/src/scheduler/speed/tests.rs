//! What finished jobs teach, in exact figures.

use super::*;

fn stats(out: u32, user_ms: u32) -> JobStats {
    JobStats { out_uncompressed: out, user_ms, ..JobStats::default() }
}

#[test]
fn s50_shown_speed_is_that_of_1_4() {
    let mut shown = Shown::default();
    assert!(!shown.learn(JobId(1), 0, &stats(4095, 1), 0));
    assert!(!shown.learn(JobId(1), 1, &stats(9000, 1), 0));
    assert_eq!(shown.value(), 0.0);
    assert!(shown.learn(JobId(1), 0, &stats(100_000, 100), 0));
    assert_eq!(shown.value(), 4000.0);
    for job in 2..=7 {
        shown.learn(JobId(job), 0, &stats(100_000, 100), 0);
    }
    assert_eq!(shown.value(), 1000.0);
    shown.learn(JobId(8), 0, &stats(1_000_000, 100), 0);
    assert_eq!(shown.value(), 820_000.0 / 800.0);
}

#[test]
fn s50_debug_and_optimised_objects_count_less_and_more() {
    assert_eq!(adjusted_size(36_000, 1), 10_000);
    assert_eq!(adjusted_size(45_000, 2), 10_000);
    assert_eq!(adjusted_size(35_000, 8), 58_000);
    assert_eq!(adjusted_size(36_000, 1 | 16), 16_571);
}

#[test]
fn lies_stay_finite() {
    // Hosts come and go, as only the first samples of one are believed.
    let mut files = Files::default();
    for round in 0..200u32 {
        let (mut slow, mut fast) = (Pace::default(), Pace::default());
        for n in 0..40u32 {
            let file = Text::from(format!("{}.c", (round * 40 + n) % 97));
            files.learn(&file, 1, u32::MAX, &mut slow);
            files.learn(&file, u32::MAX, 1, &mut fast);
            let new = Text::from(format!("{round}-{n}.c"));
            files.learn(&new, if n % 2 == 0 { u32::MAX } else { 0 }, 1 + n % 2 * (u32::MAX - 1), &mut fast);
            files.learn(&new, 1, u32::MAX, &mut slow);
            for pace in [slow, fast] {
                let value = pace.value().unwrap();
                assert!((PACES.0..=PACES.1).contains(&value), "{value}");
            }
            assert!((0.0..=WEIGHTS.1).contains(&files.mean()), "{}", files.mean());
            assert!((0.0..=WEIGHTS.1).contains(&files.weight(&new)));
        }
    }
}

#[test]
fn a_slow_host_is_found_by_the_files_it_shares_with_a_fast_one() {
    let mut files = Files::default();
    let (mut fast, mut slow) = (Pace::default(), Pace::default());
    let file = Text::from("a.c");
    files.learn(&file, 0, 100, &mut fast);
    files.learn(&file, 0, 400, &mut slow);
    let ratio = fast.value().unwrap() / slow.value().unwrap();
    assert!(ratio > 3.9 && ratio < 4.1, "{ratio}");
}

/// 200 samples are kept, the oldest 17 of them are named.
#[test]
fn s50_shown_speed_is_of_the_last_200_jobs() {
    let mut shown = Shown::default();
    shown.learn(JobId(1), 0, &stats(30_000, 300), 0);
    for job in 2..=200 {
        shown.learn(JobId(job), 0, &stats(11_000, 100), 0);
    }
    assert_eq!(shown.value(), 2_219_000.0 / 20_200.0);
    assert_eq!(shown.oldest().map(|job| job.0).collect::<Vec<_>>(), (1..=17).collect::<Vec<_>>());
    shown.learn(JobId(201), 0, &stats(11_000, 100), 0);
    assert_eq!(shown.value(), 110.0);
    assert_eq!(shown.oldest().map(|job| job.0).collect::<Vec<_>>(), (2..=18).collect::<Vec<_>>());
}

#[test]
fn s50_nothing_counts_beside_seven_jobs_of_no_time() {
    let mut shown = Shown::default();
    for job in 1..=7 {
        shown.learn(JobId(job), 0, &stats(10_000, 0), 0);
        assert_eq!(shown.value(), 0.0);
    }
    shown.learn(JobId(8), 0, &stats(10_000, 100), 0);
    assert_eq!(shown.value(), 700.0);
    // Nor does a job of no time change the figure.
    shown.learn(JobId(9), 0, &stats(10_000, 0), 0);
    assert_eq!(shown.value(), 700.0);
}

#[test]
fn s50_from_the_eighth_on_a_job_is_at_most_a_fifth_away() {
    for (out, counts) in [(11_900, 119.0), (12_100, 120.0), (8_400, 84.0), (8_300, 83.33)] {
        let mut shown = Shown::default();
        for job in 1..=7 {
            shown.learn(JobId(job), 0, &stats(10_000, 100), 0);
        }
        shown.learn(JobId(8), 0, &stats(out, 100), 0);
        assert_eq!(shown.value(), (700.0 + counts) / 8.0, "{out}");
    }
}

/// The sum of so many samples that are alike, each of which makes those before count a 32nd less.
fn sum(samples: i32) -> f64 {
    (0..samples).map(|n| (31.0_f64 / 32.0).powi(n)).sum()
}

fn close(one: f64, other: f64) -> bool {
    (one / other - 1.0).abs() < 1e-9
}

#[test]
fn a_pace_is_the_mean_of_its_samples_the_latest_first() {
    let mut pace = Pace::default();
    assert_eq!((pace.value(), pace.job_ms()), (None, 0.0));
    pace.learn(100.0, 200.0);
    assert_eq!((pace.value(), pace.job_ms()), (Some(0.5), 200.0));
    pace.learn(100.0, 50.0);
    let jobs = sum(2);
    let wall = 200.0 * 31.0 / 32.0 + 50.0;
    assert!(close(pace.value().unwrap(), 100.0 * jobs / wall) && close(pace.job_ms(), wall / jobs));
}

#[test]
fn a_pace_is_settled_after_seven_samples() {
    for (wall, settled) in [(100_000.0, 300.0), (301.0, 300.0), (299.0, 299.0), (34.0, 34.0), (1.0, 100.0 / 3.0)] {
        let mut pace = Pace::default();
        for samples in 1..=7 {
            let mut next = pace;
            next.learn(100.0, wall);
            let believed = sum(samples - 1) * 100.0 * 31.0 / 32.0 + wall;
            assert!(close(next.value().unwrap(), 100.0 * sum(samples) / believed), "{samples}");
            pace.learn(100.0, 100.0);
        }
        pace.learn(100.0, wall);
        let believed = sum(7) * 100.0 * 31.0 / 32.0 + settled;
        assert!(close(pace.value().unwrap(), 100.0 * sum(8) / believed), "{wall}");
    }
}

#[test]
fn paces_and_weights_have_bounds() {
    for (weight, wall, expected) in [(1.0, 9_999.0, 1.0 / 9_999.0), (1.0, 10_001.0, 1e-4), (1e9, 1.0, 1e4)] {
        let mut pace = Pace::default();
        pace.learn(weight, wall);
        assert_eq!(pace.value(), Some(expected));
    }
    assert_eq!([f64::NAN, f64::NEG_INFINITY, f64::INFINITY, 2.5].map(|n| within(n, (2.0, 3.0))), [2.0, 2.0, 3.0, 2.5]);
    // A file of more milliseconds, and one of less.
    let mut files = Files::default();
    files.learn(&"heavy".into(), 0, u32::MAX, &mut Pace::default());
    assert_eq!(files.weight(&"heavy".into()), 1e8);
    let mut slow = Pace::default();
    slow.learn(1.0, 1e9);
    files.learn(&"light".into(), 0, 1, &mut slow);
    assert_eq!(files.weight(&"light".into()) as f32, 0.1);
}

/// The pace that a new host has after one job of a file nobody knows.
fn pace_by_object(files: &mut Files, size: u32, wall_ms: u32) -> f64 {
    let mut pace = Pace::default();
    files.learn(&"new".into(), size, wall_ms, &mut pace);
    pace.value().unwrap()
}

#[test]
fn a_new_file_is_believed_to_be_like_others_of_its_size_within_bounds() {
    let first = |size, wall_ms| {
        let mut files = Files::default();
        files.learn(&"first".into(), size, wall_ms, &mut Pace::default());
        files
    };
    assert!(close(pace_by_object(&mut first(1000, 100), 500, 100), 0.5));
    assert!(close(pace_by_object(&mut first(u32::MAX, 1), 10_000_000, 10), 0.1));
    assert!(close(pace_by_object(&mut first(1, 1_000_000), 1, 1000), 1.0));
    assert!(close(pace_by_object(&mut first(0, 100), 500, 70), 1.0), "nothing is known of objects");
    assert!(close(pace_by_object(&mut first(1000, 100), 0, 100), 1.0), "nor by a file that makes none");
}

#[test]
fn the_bytes_of_an_object_are_the_mean_of_64() {
    let mut files = Files::default();
    let mut pace = Pace::default();
    for size in [0, 1000, 3000, 0, 5000] {
        files.learn(&"f".into(), size, 100, &mut pace);
    }
    assert_eq!(pace.value(), Some(1.0));
    assert!(close(files.bytes_per_weight, 30.0));
    for _ in 3..64 {
        files.learn(&"f".into(), 3000, 100, &mut pace);
    }
    assert!(close(files.bytes_per_weight, 30.0));
    for expected in [31.0, 31.984375] {
        files.learn(&"f".into(), 9400, 100, &mut pace);
        assert!(close(files.bytes_per_weight, expected), "{}", files.bytes_per_weight);
    }
}

#[test]
fn the_mean_weight_moves_by_a_32nd_and_that_of_a_file_by_a_quarter() {
    let mut files = Files::default();
    assert_eq!((files.mean(), files.weight(&"f".into())), (1000.0, 1000.0));
    let mut pace = Pace::default();
    files.learn(&"f".into(), 0, 0, &mut pace);
    assert_eq!((files.mean(), pace.value()), (1000.0, None), "nothing is learned of no time");
    files.learn(&"f".into(), 0, 200, &mut pace);
    assert_eq!((files.mean(), files.weight(&"f".into()), files.weight(&"g".into())), (975.0, 200.0, 975.0));
    let mut weights = Vec::new();
    for wall in [400, 600, 800, 900] {
        // A host of pace 1.
        let mut pace = Pace::default();
        pace.learn(1e9, 1e9);
        files.learn(&"f".into(), 0, wall, &mut pace);
        weights.push(files.weight(&"f".into()).round());
    }
    assert_eq!(weights, [300.0, 400.0, 500.0, 600.0]);
}

#[test]
fn of_files_the_last_twenty_to_forty_thousand_are_known() {
    let mut files = Files::default();
    let name = |n: u32| Text::from(n.to_string());
    let mut pace = Pace::default();
    pace.learn(1e15, 1e15);
    let mut learn = |files: &mut Files, n: u32| files.learn(&name(n), 0, 1, &mut pace);
    let known = |files: &Files, n: u32| files.known(&name(n)).is_some();
    (0..20_000).for_each(|n| learn(&mut files, n));
    // One that is known makes no difference.
    learn(&mut files, 0);
    (20_000..40_000).for_each(|n| learn(&mut files, n));
    assert!(known(&files, 0) && known(&files, 1) && known(&files, 39_999));
    learn(&mut files, 40_000);
    assert!(!known(&files, 0) && !known(&files, 19_999) && known(&files, 20_000) && known(&files, 40_000));
}
