//! Real threads under a steady load: nothing is allocated for a packet, thousands of streams keep their time, and
//! more than a thread can serve is told before it is heard.

#![allow(unsafe_code)] // A counting allocator cannot be written without.

use std::alloc::GlobalAlloc;
use std::alloc::Layout;
use std::alloc::System;
use std::cell::Cell;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::field::Field;
use crate::field::Heard;
use crate::field::Plan;

/// Counts what threads allocate, but for those that say that they are the test's own.
struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static OURS: Cell<bool> = const { Cell::new(false) };
}

fn count() {
    if !OURS.try_with(Cell::get).unwrap_or(true) {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

#[test]
fn real_threads_allocate_nothing_for_a_packet_played_relayed_or_protected() {
    OURS.set(true);
    let data = tempfile::tempdir().expect("a folder");
    let plan = Plan { ports: (34_200, 34_599), played: 40, pairs: 20, protected: 10 };
    let mut field = Field::new(data.path().to_owned(), plan);
    field.open();
    let mut heard = Heard::new();
    field.play(Duration::from_millis(500), &mut heard);
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    // Reports are made from 2.5 s on; they take a buffer each five seconds.
    field.play(Duration::from_millis(1500), &mut heard);
    let allocated = ALLOCATIONS.load(Ordering::Relaxed) - before;
    assert!(heard.played > 1000 && heard.relayed > 1000, "{} and {}", heard.played, heard.relayed);
    assert_eq!(allocated, 0, "allocations for {} packets", heard.played + heard.relayed);
    field.end();
}

/// `SOAK_SECONDS` of two thousand streams; `tests/soak` runs it for ten minutes.
#[test]
#[ignore = "takes minutes and wants the machine to itself: tests/soak"]
fn real_threads_keep_their_time_with_thousands_of_streams() {
    let seconds =
        std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600).min(600);
    let data = tempfile::tempdir().expect("a folder");
    let plan = Plan { ports: (36_000, 40_999), played: 1600, pairs: 150, protected: 50 };
    let mut field = Field::new(data.path().to_owned(), plan);
    field.open();
    field.play(Duration::from_secs(10), &mut Heard::new());
    let mut sizes = Vec::new();
    let mut all = Heard::new();
    let part = Duration::from_secs(10).min(Duration::from_secs(seconds));
    for _ in 0..seconds.div_ceil(10) {
        let (allocated, before) = (ALLOCATIONS.load(Ordering::Relaxed), (all.sent, all.relayed, all.lost));
        field.play(part, &mut all);
        let allocated = ALLOCATIONS.load(Ordering::Relaxed) - allocated;
        sizes.push(resident_kib());
        println!(
            "{} KiB resident, {} sent, {} relayed, {} lost, {allocated} allocations, short of time {} times",
            resident_kib(),
            all.sent - before.0,
            all.relayed - before.1,
            all.lost - before.2,
            all.short
        );
    }
    let packets = all.played + all.relayed;
    let [p50, p99, p999] = [5000, 9900, 9990].map(|share| all.off(share));
    println!("{packets} packets, {} lost; off 20 ms: p50 {p50:?}, p99 {p99:?}, p99.9 {p999:?}", all.lost);
    assert!(all.lost * 10_000 <= packets, "more than 0.01 % lost");
    assert!(p999 < Duration::from_millis(5), "p99.9 {p999:?}");
    let (first, last) = (sizes[0], sizes[sizes.len() - 1]);
    assert!(last <= first + 1024, "grown from {first} to {last} KiB");
    field.end();
}

/// More than a thread can serve: it tells so.
#[test]
#[ignore = "takes all of the machine: tests/soak"]
fn real_threads_tell_when_they_are_short_of_time() {
    let data = tempfile::tempdir().expect("a folder");
    let plan = Plan { ports: (41_000, 59_999), played: 9000, pairs: 0, protected: 0 };
    let mut field = Field::new(data.path().to_owned(), plan);
    field.open();
    let mut heard = Heard::new();
    field.play(Duration::from_secs(5), &mut heard);
    println!("{} played, {} lost, told {} times", heard.played, heard.lost, heard.short);
    assert!(heard.short > 10, "450,000 packets a second are more than a thread sends");
    field.end();
}

fn resident_kib() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).map_or(0, |pages| pages * 4)
}
