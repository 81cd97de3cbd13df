//! Rows of (strategy, candidates, who rings) for `queue::strategy::pick`.

use std::time::Duration;
use std::time::Instant;

use sentral::model::queue::Strategy;
use sentral::rand::Rng;
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
        // As many as may ring, the longest ready first.
        (Strategy::Widening, &[(0, 1, 5, 0, 0, 0, 0), (1, 1, 9, 1, 9, 9, 9), (2, 1, 7, 1, 9, 9, 9)], &[1, 2]),
        // Agents pick: nobody rings.
        (Strategy::Pull, &[(0, 1, 5, 0, 0, 0, 0), (1, 1, 9, 1, 9, 9, 9)], &[]),
    ];
    let now = Instant::now() + Duration::from_secs(3600);
    for (strategy, given, expect) in rows {
        let free: Vec<Candidate> = given.iter().map(|given| candidate(now, *given)).collect();
        assert_eq!(pick(*strategy, 2, &free), *expect, "{strategy:?} of {given:?}");
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
        skill: 5,
        chance,
    }
}

#[test]
fn by_weight_each_skill_has_its_share_and_none_waits_for_somebody_without_skill() {
    let now = Instant::now();
    let with = |order: usize, skill: u8, chance: u64| Candidate {
        skill,
        ..candidate(now, (order, 1, 0, 0, 0, 0, chance))
    };
    let mut chance = Rng::from_seed(7);
    let mut rung = [0_u32; 4];
    for _ in 0..12_000 {
        let free: Vec<Candidate> =
            [9, 2, 1, 0].into_iter().enumerate().map(|(at, skill)| with(at, skill, chance.bits())).collect();
        rung[pick(Strategy::Weighted, 1, &free)[0]] += 1;
    }
    assert_eq!(rung[3], 0, "no skill, and others are there");
    for (at, share) in [(0, 9_000), (1, 2_000), (2, 1_000_u32)] {
        assert!(rung[at].abs_diff(share) < 200, "{rung:?}");
    }
    // Alone, and with the chance that is worst for them, they ring.
    assert_eq!(pick(Strategy::Weighted, 1, &[with(0, 0, u64::MAX)]), [0]);
    assert_eq!(pick(Strategy::Weighted, 1, &[with(0, 0, 0), with(1, 1, u64::MAX)]), [1]);
}
