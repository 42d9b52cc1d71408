//! What meets an edge (design 9.1): the one table that releases, bars or spares a step.

use crate::flow::Outcome;
use crate::plan::{Condition, EdgeRule};

/// Says whether an upstream that ended in this way meets an edge.
///
/// Never asked about `Unknown`: such a step has not ended until a person has resolved it.
pub fn is_met(rule: &EdgeRule, outcome: Outcome, allow_failure: bool) -> bool {
    match rule {
        EdgeRule::Bare => match kind(outcome) {
            Kind::Well | Kind::SkippedItself => true,
            Kind::Badly => allow_failure,
            Kind::NeverRan => false,
        },
        EdgeRule::AnyOf(conditions) => conditions.iter().any(|&condition| holds(condition, outcome)),
    }
}

/// Says whether an upstream that succeeds meets an edge.
pub fn is_met_by_success(rule: &EdgeRule) -> bool {
    is_met(rule, Outcome::Succeeded, false)
}

/// Returns how a step ends whose unmet edges have upstreams that ended in these ways.
///
/// An unused failure branch on a good night is not needed; all else is blocked.
pub fn barred_as(unmet: impl IntoIterator<Item = Outcome>) -> Outcome {
    let spared = |outcome| {
        matches!(outcome, Outcome::Succeeded | Outcome::Warned | Outcome::Skipped | Outcome::NotNeeded)
    };
    if unmet.into_iter().all(spared) { Outcome::NotNeeded } else { Outcome::Blocked }
}

/// Returns how a group ends whose iterations ended in these ways; there is at least one.
pub fn of_group(iterations: &[Outcome]) -> Outcome {
    let all = |wanted: &[Outcome]| iterations.iter().all(|outcome| wanted.contains(outcome));
    let any = |outcome: Outcome| iterations.contains(&outcome);
    if all(&[Outcome::Blocked]) {
        Outcome::Blocked
    } else if all(&[Outcome::NotNeeded]) {
        Outcome::NotNeeded
    } else if any(Outcome::Blocked) || iterations.iter().any(|&outcome| kind(outcome) == Kind::Badly) {
        Outcome::Failed
    } else if all(&[Outcome::Skipped, Outcome::NotNeeded]) {
        Outcome::Skipped
    } else if any(Outcome::Warned) {
        Outcome::Warned
    } else {
        Outcome::Succeeded
    }
}

/// The rows of the table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Well,
    Badly,
    SkippedItself,
    NeverRan,
}

fn kind(outcome: Outcome) -> Kind {
    match outcome {
        Outcome::Succeeded | Outcome::Warned => Kind::Well,
        Outcome::Failed | Outcome::TimedOut | Outcome::Cancelled => Kind::Badly,
        Outcome::Skipped => Kind::SkippedItself,
        Outcome::Blocked | Outcome::NotNeeded | Outcome::Unknown => Kind::NeverRan,
    }
}

fn holds(condition: Condition, outcome: Outcome) -> bool {
    let kind = kind(outcome);
    match condition {
        Condition::Succeeded => kind == Kind::Well,
        Condition::Failed => kind == Kind::Badly,
        Condition::Skipped => matches!(kind, Kind::SkippedItself | Kind::NeverRan),
        Condition::Completed => kind != Kind::NeverRan,
    }
}

#[cfg(test)]
mod tests {
    use super::{barred_as, is_met, of_group};
    use crate::flow::Outcome::{
        self, Blocked, Cancelled, Failed, NotNeeded, Skipped, Succeeded, TimedOut, Warned,
    };
    use crate::plan::{Condition, EdgeRule};

    /// Columns: bare, bare with `allow_failure`, succeeded, failed, skipped, completed.
    #[test]
    fn follows_the_table() {
        let check = |outcome: Outcome, want: &str| {
            let any = |condition| is_met(&EdgeRule::AnyOf(vec![condition]), outcome, false);
            let got: String = [
                is_met(&EdgeRule::Bare, outcome, false),
                is_met(&EdgeRule::Bare, outcome, true),
                any(Condition::Succeeded),
                any(Condition::Failed),
                any(Condition::Skipped),
                any(Condition::Completed),
            ]
            .into_iter()
            .map(|met| if met { 'y' } else { '-' })
            .collect();
            assert_eq!(got, want, "{outcome}");
        };
        check(Succeeded, "yyy--y");
        check(Warned, "yyy--y");
        check(Failed, "-y-y-y");
        check(TimedOut, "-y-y-y");
        check(Cancelled, "-y-y-y");
        check(Skipped, "yy--yy");
        check(Blocked, "----y-");
        check(NotNeeded, "----y-");
    }

    #[test]
    fn one_condition_of_a_list_is_enough() {
        let rule = EdgeRule::AnyOf(vec![Condition::Failed, Condition::Skipped]);
        assert!(is_met(&rule, Failed, false));
        assert!(is_met(&rule, Blocked, false));
        assert!(!is_met(&rule, Succeeded, false));
    }

    #[test]
    fn a_group_ends_as_its_iterations_say() {
        let check = |iterations: &[Outcome], want: Outcome| {
            assert_eq!(of_group(iterations), want, "{iterations:?}");
        };
        check(&[Blocked, Blocked], Blocked);
        check(&[NotNeeded, NotNeeded], NotNeeded);
        check(&[Succeeded, Blocked], Failed);
        check(&[NotNeeded, Blocked], Failed);
        check(&[Succeeded, TimedOut], Failed);
        check(&[Cancelled, Skipped], Failed);
        check(&[Skipped, NotNeeded], Skipped);
        check(&[Skipped, Skipped], Skipped);
        check(&[Skipped, Succeeded], Succeeded);
        check(&[NotNeeded, Warned, Succeeded], Warned);
        check(&[Succeeded, Succeeded], Succeeded);
    }

    #[test]
    fn an_unused_failure_branch_is_not_needed() {
        assert_eq!(barred_as([Succeeded, NotNeeded, Skipped, Warned]), NotNeeded);
        assert_eq!(barred_as([Succeeded, Failed]), Blocked);
        assert_eq!(barred_as([Blocked]), Blocked);
    }
}
