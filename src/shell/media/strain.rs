//! How a media thread keeps up with its slots: what operators see of it, and when no more calls should come.
//!
//! Counted by the thread in plain numbers and told every 50 ms, so that a packet costs no shared counter.

use std::time::Duration;
use std::time::Instant;

use metrics::Counter;
use metrics::Gauge;
use metrics::counter;
use metrics::gauge;

use crate::media::Event;
use crate::media::engine::output::Dropped;

/// How often it is told; shorter than the steps in which the core sets its pressure.
const WINDOW: Duration = Duration::from_millis(50);

/// A thread that works for more of the time has no room for a moment with more to do.
const BUSY_PERCENT: u32 = 85;

/// A slot this late is near what a jitter buffer forgives.
const LATE: Duration = Duration::from_millis(10);

/// Upper bounds of lateness in milliseconds, as told.
const BOUNDS_MS: [(u64, &str); 7] =
    [(1, "0.001"), (2, "0.002"), (5, "0.005"), (10, "0.01"), (20, "0.02"), (50, "0.05"), (u64::MAX, "+Inf")];

/// What a thread counts of itself.
pub(super) struct Strain {
    thread: u8,
    began: Instant,
    asleep: Duration,
    slots: u32,
    late_slots: u32,
    latest: Duration,
    lateness: Duration,
    /// Slots by lateness, each in the first bound that holds it.
    by_lateness: [u32; BOUNDS_MS.len()],
    told: Told,
}

/// Where it is told; the names are made once, because making one allocates and locks.
struct Told {
    late_ticks: Counter,
    buckets: [Counter; BOUNDS_MS.len()],
    count: Counter,
    lateness_us: Counter,
    dropped: [Counter; Dropped::REASONS.len()],
    busy: Gauge,
    streams: Gauge,
    orders: Gauge,
    chunks: Gauge,
}

/// What waits in a thread's queues.
#[derive(Clone, Copy, Debug)]
pub(super) struct Depths {
    pub(super) streams: usize,
    /// Batches of orders that the thread has not taken.
    pub(super) orders: usize,
    /// Seconds of audio that the recorder has not taken.
    pub(super) chunks: usize,
}

impl Strain {
    pub(super) fn new(thread: u8, now: Instant) -> Strain {
        let label = thread.to_string();
        let dropped = |reason| counter!("sentral_media_dropped_total", "reason" => reason);
        let gauge = |name| gauge!(name, "thread" => label.clone());
        let told = Told {
            late_ticks: counter!("sentral_media_late_ticks_total"),
            buckets: BOUNDS_MS.map(|(_, le)| counter!("sentral_media_tick_late_seconds_bucket", "le" => le)),
            count: counter!("sentral_media_tick_late_seconds_count"),
            lateness_us: counter!("sentral_media_tick_late_microseconds_total"),
            dropped: Dropped::REASONS.map(dropped),
            busy: gauge("sentral_media_thread_busy"),
            streams: gauge("sentral_media_streams"),
            orders: gauge("sentral_media_orders_waiting"),
            chunks: gauge("sentral_media_chunks_waiting"),
        };
        Strain {
            thread,
            began: now,
            asleep: Duration::ZERO,
            slots: 0,
            late_slots: 0,
            latest: Duration::ZERO,
            lateness: Duration::ZERO,
            by_lateness: [0; BOUNDS_MS.len()],
            told,
        }
    }

    /// The thread has waited for so long.
    pub(super) fn slept(&mut self, long: Duration) {
        self.asleep += long;
    }

    /// A slot is served so late.
    pub(super) fn served(&mut self, late: Duration) {
        self.slots += 1;
        self.late_slots += u32::from(late >= LATE);
        self.latest = self.latest.max(late);
        self.lateness += late;
        let ms = late.as_millis() as u64;
        if let Some(at) = BOUNDS_MS.iter().position(|(bound, _)| ms < *bound) {
            self.by_lateness[at] += 1;
        }
    }

    /// Tells what was counted, when it is time to; the event, while the thread is short of time.
    pub(super) fn tell(&mut self, now: Instant, dropped: &mut Dropped, depths: Depths) -> Option<Event> {
        let window = now.saturating_duration_since(self.began);
        if window < WINDOW {
            return None;
        }
        let awake = window.saturating_sub(self.asleep);
        let busy_percent = (awake.as_micros() * 100 / window.as_micros()).min(100) as u32;
        let Told { late_ticks, buckets, count, lateness_us, dropped: reasons, busy, streams, orders, chunks } =
            &self.told;
        late_ticks.increment(u64::from(self.late_slots));
        count.increment(u64::from(self.slots));
        lateness_us.increment(self.lateness.as_micros() as u64);
        let mut below = 0;
        for (bucket, slots) in buckets.iter().zip(self.by_lateness) {
            below += slots;
            bucket.increment(u64::from(below));
        }
        for (reason, count) in reasons.iter().zip(dropped.take()) {
            reason.increment(count);
        }
        busy.set(f64::from(busy_percent) / 100.0);
        streams.set(depths.streams as f64);
        orders.set(depths.orders as f64);
        chunks.set(depths.chunks as f64);
        let short = busy_percent >= BUSY_PERCENT || 2 * self.late_slots > self.slots;
        let event = short.then_some(Event::Short {
            thread: self.thread,
            late: self.latest,
            busy_percent: busy_percent as u8,
        });
        (self.began, self.asleep, self.slots, self.late_slots) = (now, Duration::ZERO, 0, 0);
        (self.latest, self.lateness, self.by_lateness) =
            (Duration::ZERO, Duration::ZERO, [0; BOUNDS_MS.len()]);
        event
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics_exporter_prometheus::PrometheusBuilder;

    const QUIET: Depths = Depths { streams: 1, orders: 0, chunks: 0 };

    /// Fifty slots of a millisecond, each served so late and followed by so much sleep.
    fn window(late: Duration, asleep: Duration) -> Option<Event> {
        let start = Instant::now();
        let mut strain = Strain::new(3, start);
        for _ in 0..50 {
            strain.served(late);
            strain.slept(asleep);
        }
        strain.tell(start + WINDOW, &mut Dropped::default(), QUIET)
    }

    #[test]
    fn a_thread_is_short_of_time_when_it_hardly_sleeps_or_its_slots_are_late() {
        let us = Duration::from_micros;
        let rows = [
            (us(50), us(500), None),
            (us(9_000), us(500), None),
            (us(50), us(200), None),
            (us(50), us(100), Some(90)),
            (us(12_000), us(500), Some(50)),
        ];
        for (late, asleep, expect) in rows {
            let told = window(late, asleep).map(|event| match event {
                Event::Short { thread: 3, late: told, busy_percent } if told == late => busy_percent,
                other => panic!("{other:?}"),
            });
            assert_eq!(told, expect, "{late:?} late, {asleep:?} asleep of each millisecond");
        }
    }

    #[test]
    fn lateness_and_what_was_dropped_are_told_once() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        metrics::with_local_recorder(&recorder, || {
            let start = Instant::now();
            let mut strain = Strain::new(0, start);
            let mut dropped = Dropped { stranger: 3, ..Dropped::default() };
            for us in [0, 1_500, 15_000, 90_000] {
                strain.served(Duration::from_micros(us));
            }
            assert_eq!(strain.tell(start + WINDOW / 2, &mut dropped, QUIET), None, "not yet");
            for at in 1..3 {
                strain.slept(WINDOW);
                strain.tell(start + WINDOW * at, &mut dropped, QUIET);
            }
        });
        let text = handle.render();
        for line in [
            "sentral_media_late_ticks_total 2",
            "sentral_media_tick_late_seconds_bucket{le=\"0.001\"} 1",
            "sentral_media_tick_late_seconds_bucket{le=\"0.002\"} 2",
            "sentral_media_tick_late_seconds_bucket{le=\"0.02\"} 3",
            "sentral_media_tick_late_seconds_bucket{le=\"+Inf\"} 4",
            "sentral_media_tick_late_seconds_count 4",
            "sentral_media_dropped_total{reason=\"stranger\"} 3",
            "sentral_media_dropped_total{reason=\"unsent\"} 0",
            "sentral_media_thread_busy{thread=\"0\"} 0",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }
}
