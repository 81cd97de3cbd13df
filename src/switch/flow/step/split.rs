//! `split`: calls are shared out by weight.

use crate::model::flow::Exit;
use crate::model::flow::HangupCause;
use crate::switch::flow::Turn;
use crate::switch::flow::leads_to;
use crate::switch::flow::stage::Stage;

/// Draws a branch; without any weight the first is taken.
pub fn enter(stage: &mut Stage<'_>, branches: &[(Exit, u32)]) -> Turn {
    let Some(exit) = pick(branches, stage.ctx.world.random) else {
        stage.tell("shares out calls, but has no branch");
        return Turn::End(HangupCause::Normal);
    };
    stage.tell(format!("by lot: {}", leads_to(exit)));
    stage.takes(exit.name());
    Turn::Go(exit.clone())
}

fn pick(branches: &[(Exit, u32)], random: u32) -> Option<&Exit> {
    let total: u64 = branches.iter().map(|(_, weight)| u64::from(*weight)).sum();
    let mut at = if total == 0 { 0 } else { u64::from(random) % total };
    for (exit, weight) in branches {
        match at.checked_sub(u64::from(*weight)) {
            Some(rest) => at = rest,
            None => return Some(exit),
        }
    }
    branches.first().map(|(exit, _)| exit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_branch_is_drawn_as_often_as_its_weight_says() {
        let exit = |id: &str| Exit::Step(id.into());
        let branches = [(exit("a"), 80), (exit("never"), 0), (exit("b"), 20)];
        let drawn = |id: &str| (0..100).filter(|r| pick(&branches, *r) == Some(&exit(id))).count();
        assert_eq!((drawn("a"), drawn("never"), drawn("b")), (80, 0, 20));
        assert_eq!(pick(&[(exit("only"), 0)], 7), Some(&exit("only")));
        assert_eq!(pick(&[], 7), None);
    }
}
