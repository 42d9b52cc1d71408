//! Taking a flow up again: what begins anew comes before what goes on.

use std::collections::{BTreeMap, BTreeSet};

use synflow::flow::{Event, Outcome, Resolution, RunStatus, StepState, resume};
use synflow::plan::{Condition, EdgeRule, Step, StepIndex};

use crate::play::{Play, edge, plan, step, tries};

/// Takes the flow up as the product does: with what a resume begins anew.
fn take_up(play: &mut Play) {
    let redo = resume::redone(&play.flow, &BTreeSet::new());
    play.record(Event::Resumed { redo, trust: BTreeMap::new(), definitions: BTreeMap::new() });
}

#[test]
fn the_definitions_that_a_resume_has_read_beat_those_of_the_beginning() {
    let mut play = Play::proven(plan(1, vec![step("a", &[])]));
    let versions = |pairs: &[(&str, &str)]| -> BTreeMap<String, BTreeMap<String, String>> {
        let pairs = pairs.iter().map(|(pipeline, etag)| ((*pipeline).to_owned(), (*etag).to_owned()));
        [("main".to_owned(), pairs.collect())].into()
    };
    for definitions in [versions(&[("pl_a", "1"), ("pl_b", "1")]), versions(&[("pl_b", "2")])] {
        play.record(Event::Resumed { redo: Vec::new(), trust: BTreeMap::new(), definitions });
    }
    assert_eq!(play.flow.header().definitions, versions(&[("pl_a", "1"), ("pl_b", "2")]));
}

#[test]
fn a_retry_waits_for_what_a_resume_begins_anew_above_it() {
    let above = Step { allow_failure: true, ..step("a", &[]) };
    let below = Step { retry: tries(2), ..step("b", &[0]) };
    let mut play = Play::proven(plan(2, vec![above, below]));
    play.play(0, RunStatus::Failed);
    play.start(1);
    take_up(&mut play);
    assert_eq!(*play.state(0), StepState::Waiting, "it does not run beside what hangs on it");

    play.end(1, RunStatus::Failed);
    play.facts();
    assert_eq!(*play.state(0), StepState::Ready, "the attempt below it is over");
    assert_eq!(*play.state(1), StepState::Waiting, "no second attempt before the step above has ended");

    play.play(0, RunStatus::Succeeded);
    play.start(1);
    play.end(1, RunStatus::Succeeded);
    play.facts();
    assert_eq!(play.flow.run(StepIndex(1)).outcome(), Some(Outcome::Succeeded));
}

#[test]
fn a_handler_that_a_second_resume_begins_anew_runs_once() {
    let on_failure = vec![edge(0, EdgeRule::AnyOf(vec![Condition::Failed]))];
    let handler = Step { depends_on: on_failure, ..step("b", &[]) };
    let mut play = Play::proven(plan(2, vec![step("a", &[]), handler]));
    play.play(0, RunStatus::Failed);
    play.lose(1);
    take_up(&mut play);
    let (step, attempt) = (play.id(1), play.attempt(1));
    play.record(Event::Resolved { step, attempt, resolution: Resolution::GiveUp });
    take_up(&mut play);
    play.facts();
    play.play(0, RunStatus::Failed);
    play.play(1, RunStatus::Succeeded);
    assert_eq!(*play.state(1), StepState::Ended { outcome: Outcome::Succeeded }, "it is over for good");
}
