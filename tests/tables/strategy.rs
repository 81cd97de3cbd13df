//! Rows of (strategy, candidates, who rings) for `queue::strategy::pick`.

use std::time::Duration;
use std::time::Instant;

use sentral::model::queue::Strategy;
use sentral::switch::queue::strategy::Candidate;
use sentral::switch::queue::strategy::pick;

/// List place, tier, seconds ready, steps after the one rung last, calls, seconds talked, chance.
type Given = (usize, u8, u64, usize, u32, u64, u64);

#[test]
fn each_strategy_rings_whom_its_name_says() {
    let rows: &[(Strategy, &[Given], &[usize])] = &[
        // Nobody free: nobody rings.
        (Strategy::RingAll, &[], &[]),
        (Strategy::LongestIdle, &[], &[]),
        // Everyone at once, by tier and then by list, however they came.
        (
            Strategy::RingAll,
            &[(2, 1, 0, 0, 0, 0, 0), (0, 2, 0, 0, 0, 0, 0), (1, 1, 0, 0, 0, 0, 0)],
            &[2, 0, 1],
        ),
        // Longest ready.
        (Strategy::LongestIdle, &[(0, 1, 5, 0, 0, 0, 0), (1, 1, 9, 1, 9, 9, 9)], &[1]),
        // Ready as long: tier, then list.
        (Strategy::LongestIdle, &[(1, 2, 5, 0, 0, 0, 0), (2, 1, 5, 0, 0, 0, 0)], &[1]),
        (Strategy::LongestIdle, &[(3, 1, 5, 0, 0, 0, 0), (2, 1, 5, 0, 0, 0, 0)], &[1]),
        // Fewest calls, then longest ready.
        (Strategy::FewestCalls, &[(0, 1, 9, 0, 4, 0, 0), (1, 1, 1, 1, 3, 9, 0)], &[1]),
        (Strategy::FewestCalls, &[(0, 1, 1, 0, 3, 0, 0), (1, 1, 9, 1, 3, 9, 0)], &[1]),
        // Least talk.
        (Strategy::LeastTalk, &[(0, 1, 9, 0, 1, 300, 0), (1, 1, 1, 1, 9, 200, 0)], &[1]),
        // The next in turn, whoever waited longest.
        (Strategy::RoundRobin, &[(0, 1, 9, 2, 0, 0, 0), (1, 1, 5, 0, 9, 9, 9), (2, 1, 7, 1, 0, 0, 0)], &[1]),
        // Always from the top; a lower tier comes after the whole list above it.
        (Strategy::InOrder, &[(2, 1, 0, 0, 9, 9, 9), (1, 1, 9, 1, 0, 0, 0)], &[1]),
        (Strategy::InOrder, &[(0, 2, 9, 0, 0, 0, 0), (7, 1, 0, 1, 9, 9, 9)], &[1]),
        // By chance.
        (Strategy::Random, &[(0, 1, 9, 0, 0, 0, 8), (1, 1, 0, 1, 9, 9, 3)], &[1]),
        // Not carried out: as longest idle.
        (Strategy::Weighted, &[(0, 1, 5, 0, 0, 0, 0), (1, 1, 9, 1, 9, 9, 9)], &[1]),
        (Strategy::Widening, &[(0, 1, 5, 0, 0, 0, 0), (1, 1, 9, 1, 9, 9, 9)], &[1]),
        (Strategy::Pull, &[(0, 1, 5, 0, 0, 0, 0), (1, 1, 9, 1, 9, 9, 9)], &[1]),
    ];
    let now = Instant::now() + Duration::from_secs(3600);
    for (strategy, given, expect) in rows {
        let free: Vec<Candidate> = given.iter().map(|given| candidate(now, *given)).collect();
        assert_eq!(pick(*strategy, &free), *expect, "{strategy:?} of {given:?}");
    }
}

fn candidate(now: Instant, (order, tier, ready_s, turn, calls, talk_s, chance): Given) -> Candidate {
    Candidate {
        order,
        tier,
        ready_since: now - Duration::from_secs(ready_s),
        turn,
        calls,
        talk: Duration::from_secs(talk_s),
        chance,
    }
}
