//! Tables for people: the steps of one flow, and the list of flows. Columns align as a terminal shows them.

use std::fmt::Write;

use crate::flow::{Flow, FlowOutcome, RunStatus, StepRun, StepState};
use crate::plan::Step;
use crate::report::text::{cut, one_line, pad, pad_left, width};
use crate::report::wording::{run_of, spoken, took, went_wrong};
use crate::report::{Beside, Listed, json, summary};
use crate::time::{Delay, Timestamp};

/// How much of an output is shown; `--output json` has it whole.
const OUTPUT_COLUMNS_MAX: usize = 100;

/// Returns the text of `status`: how the flow stands, its steps, and what went wrong.
pub fn status(flow: &Flow, beside: &Beside, now: Timestamp) -> String {
    let mut table = Table::new(&[
        ("STEP", Side::Left),
        ("PIPELINE", Side::Left),
        ("STATE", Side::Left),
        ("ATTEMPTS", Side::Right),
        ("STARTED (UTC)", Side::Left),
        ("TOOK", Side::Right),
        ("RUN", Side::Left),
    ]);
    for (_, step, run) in flow.steps() {
        table.push([
            one_line(step.id.as_str()),
            one_line(&step.pipeline),
            state(step, run),
            if run.attempts.is_empty() { String::new() } else { run.attempts.len().to_string() },
            run.attempts.first().map(|attempt| clock(attempt.intended_at)).unwrap_or_default(),
            took(run, now).map(Delay::short).unwrap_or_default(),
            run_of(run).map(|run| run.to_string()).unwrap_or_default(),
        ]);
    }
    let mut text = summary::headline(flow, beside, now);
    if !flow.is_settled() && !flow.is_given_up() {
        let driver = beside.driver.as_deref().unwrap_or("nobody drives it at the moment");
        let _ = writeln!(text, "{}", one_line(driver));
    }
    if let Some(end) = beside.end {
        let _ = writeln!(text, "likely to end at {}, in {}", end.spoken(), end.since(now).short());
    }
    let _ = write!(text, "\n{}", table.render());
    let details = summary::details(flow, beside, now);
    if !details.is_empty() {
        text.push('\n');
        text.push_str(&details);
    }
    let outputs = outputs(flow);
    if !outputs.is_empty() {
        text.push_str("\noutputs:\n");
        text.push_str(&outputs);
    }
    // What somebody drives needs nobody else, and an emulated flow's service ended with its process.
    let is_up_to_people = beside.driver.is_none() && !flow.header().emulated;
    if let Some(next) = summary::next(flow, true).filter(|_| is_up_to_people) {
        let _ = writeln!(text, "\nnext: {next}");
    }
    text
}

/// Returns what the steps gave to later ones, a line for each output.
fn outputs(flow: &Flow) -> String {
    let mut lines = Vec::new();
    for (_, step, run) in flow.steps() {
        let Some(outputs) = run.outputs() else { continue };
        for output in &step.outputs {
            let name = one_line(&format!("{}.{}", step.id, output.name));
            let value = outputs.values.get(&output.name).map(|value| one_line(&value.to_string()));
            let absent = outputs.absent.get(&output.name).map(|why| format!("absent: {}", one_line(why)));
            lines.extend(value.or(absent).map(|text| (name, cut(&text, OUTPUT_COLUMNS_MAX))));
        }
    }
    let columns = lines.iter().map(|(name, _)| width(name)).max().unwrap_or(0);
    let lines = lines.into_iter().map(|(name, text)| format!("  {}  {text}\n", pad(&name, columns)));
    lines.collect::<Vec<_>>().concat()
}

/// Returns the text of `flows`, in the order given.
pub fn flows(listed: &[Listed<'_>], now: Timestamp) -> String {
    let mut table = Table::new(&[
        ("FLOW", Side::Left),
        ("PLAN", Side::Left),
        ("STARTED (UTC)", Side::Left),
        ("STATE", Side::Left),
        ("TOOK", Side::Right),
        ("STEPS", Side::Left),
    ]);
    for listed in listed {
        table.push(match listed {
            Listed::Read(flow) => flow_row(flow, now),
            Listed::Unreadable { header, why } => [
                header.id.to_string(),
                summary::plan_name(header),
                clock(header.created_at),
                "unreadable".to_owned(),
                String::new(),
                one_line(why),
            ],
        });
    }
    table.render()
}

fn flow_row(flow: &Flow, now: Timestamp) -> [String; 6] {
    let header = flow.header();
    let begun = flow.started_at().unwrap_or(header.created_at);
    let state = match (flow.is_settled(), flow.outcome()) {
        (true, FlowOutcome::TimedOut) => "timed out",
        (true, FlowOutcome::DeadlineMissed) => "too late",
        (true, outcome) => outcome.word(),
        (false, _) => match json::flow_state(flow) {
            "needs_person" => "needs a person",
            word => word,
        },
    };
    let took =
        flow.ended_at().map(|ended| ended.since(begun)).or(flow.is_settled().then(|| now.since(begun)));
    [
        header.id.to_string(),
        summary::plan_name(header),
        clock(begun),
        state.to_owned(),
        took.map(Delay::short).unwrap_or_default(),
        summary::tally(flow),
    ]
}

/// Returns a step's state in a word or two: its outcome once it has one.
fn state(step: &Step, run: &StepRun) -> String {
    let queued = || run.last_attempt().is_some_and(|attempt| attempt.status == Some(RunStatus::Queued));
    match (&run.state, run.outcome()) {
        (_, Some(outcome)) if went_wrong(outcome) && step.allow_failure => {
            format!("{} (allowed)", spoken(outcome))
        }
        (_, Some(outcome)) => spoken(outcome).to_owned(),
        (StepState::Running, None) if queued() => "queued".to_owned(),
        (StepState::NotSent { .. }, None) => "not sent".to_owned(),
        (StepState::Unclear { .. }, None) => "start unclear".to_owned(),
        (state, None) => json::step_state(state).to_owned(),
    }
}

/// Returns a time to the second, without its zone.
fn clock(at: Timestamp) -> String {
    at.to_string()[.."2026-11-24T12:03:07".len()].replace('T', " ")
}

/// On which side of its column a cell stands.
#[derive(Clone, Copy, Debug)]
enum Side {
    Left,
    Right,
}

/// Rows of cells below a heading.
struct Table<const COLUMNS: usize> {
    sides: [Side; COLUMNS],
    rows: Vec<[String; COLUMNS]>,
}

impl<const COLUMNS: usize> Table<COLUMNS> {
    fn new(head: &[(&str, Side); COLUMNS]) -> Self {
        Self { sides: head.map(|(_, side)| side), rows: vec![head.map(|(word, _)| word.to_owned())] }
    }

    fn push(&mut self, row: [String; COLUMNS]) {
        self.rows.push(row);
    }

    fn render(&self) -> String {
        let mut columns = [0; COLUMNS];
        for row in &self.rows {
            for (column, cell) in columns.iter_mut().zip(row) {
                *column = width(cell).max(*column);
            }
        }
        let mut text = String::new();
        for row in &self.rows {
            let cells = row.iter().zip(columns).zip(self.sides).map(|((cell, columns), side)| match side {
                Side::Left => pad(cell, columns),
                Side::Right => pad_left(cell, columns),
            });
            text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::{flows, status};
    use crate::flow::{Event, Outcome, RunStatus};
    use crate::plan::StepId;
    use crate::report::Beside;
    use crate::report::Listed;
    use crate::report::sample::{Sample, error};
    use crate::time::Delay;

    fn half_way() -> Sample {
        let mut sample =
            Sample::new(&[("load", ""), ("数据", ""), ("copy", ""), ("fx", ""), ("curate", "load 数据")]);
        sample.start("load").start("数据").start("fx").intend("copy").wait(5);
        let again_at = sample.now + Delay::from_secs(30);
        sample.status("数据", RunStatus::Queued).record(Event::StartNotSent {
            step: StepId::new("copy"),
            attempt: 1,
            reason: "429 Too Many Requests".to_owned(),
            again_at,
        });
        sample.end("fx", Outcome::Failed, Some(error("Web_1", "2108", "no rates"))).wait(700);
        sample.end("load", Outcome::Succeeded, None);
        sample
    }

    #[test]
    fn status_lists_the_steps_and_what_went_wrong() {
        let sample = half_way();
        insta::assert_snapshot!(status(&sample.flow, &Beside::default(), sample.now), @r"
        flow 7f3a9c of nightly-sales has not ended, started 11m45s ago
        1 succeeded, 1 failed, 2 running, 1 waiting
        nobody drives it at the moment

        STEP    PIPELINE   STATE      ATTEMPTS  STARTED (UTC)          TOOK  RUN
        load    pl_load    succeeded         1  2026-11-24 23:50:00  11m45s  8b35ed2c-0000-4000-8000-000000000001
        数据    pl_数据    queued            1  2026-11-24 23:50:00  11m45s  8b35ed2c-0000-4000-8000-000000000002
        copy    pl_copy    not sent          1  2026-11-24 23:50:00  11m45s
        fx      pl_fx      failed            1  2026-11-24 23:50:00    5.0s  8b35ed2c-0000-4000-8000-000000000003
        curate  pl_curate  waiting

        failed: fx > Web_1, after 5.0s
          error     2108: no rates
          run       8b35ed2c-0000-4000-8000-000000000003 (pl_fx)

        under way when synflow last looked:
          数据: run 8b35ed2c-0000-4000-8000-000000000002; queued in Synapse
          copy: sending the start again as soon as possible: 429 Too Many Requests

        never started:
          curate: waits for 数据

        next: synflow resume 7f3a9c
        ");
    }

    #[test]
    fn one_unreadable_flow_hides_no_other() {
        let good = {
            let mut sample = Sample::new(&[("load", "")]);
            sample.succeed("load");
            sample
        };
        let open = half_way();
        let listed = [
            Listed::Read(&good.flow),
            Listed::Read(&open.flow),
            Listed::Unreadable { header: good.flow.header(), why: "written by a newer synflow\x1b[0m" },
        ];
        insta::assert_snapshot!(flows(&listed, open.now), @r"
        FLOW    PLAN           STARTED (UTC)        STATE        TOOK  STEPS
        7f3a9c  nightly-sales  2026-11-24 23:50:00  succeeded   1m00s  1 succeeded
        7f3a9c  nightly-sales  2026-11-24 23:50:00  unfinished         1 succeeded, 1 failed, 2 running, 1 waiting
        7f3a9c  nightly-sales  2026-11-24 23:50:00  unreadable         written by a newer synflow␛[0m
        ");
        let rows = crate::report::json::flows(&listed, 0, open.now);
        let states = ["ended", "unfinished", "unreadable"];
        assert_eq!([0, 1, 2].map(|row| rows["flows"][row]["state"].as_str().expect("a word")), states);
    }
}
