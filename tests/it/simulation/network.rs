//! The faulty network between a process and the workspaces, and what a process makes of what comes back.

use synflow::emulator::model::script::FaultKind;
use synflow::emulator::model::{Answer as Said, CLIENT_ID, CLIENT_SECRET, Fate, Request, TENANT_ID};
use synflow::flow::watch::{Chore, Coverage, RunNearby};
use synflow::flow::{ChildActivities, RunActivities, RunId, RunSeen, StartOutcome, observe};
use synflow::plan::StepIndex;
use synflow::synapse::reading::{self, Answer, NoAnswer, NoAnswerKind};
use synflow::synapse::{CallFailure, RunListed};
use synflow::time::{Delay, Timestamp};

use crate::simulation::process::{Errand, ListOf, Point, Reading};
use crate::simulation::wire;
use crate::simulation::world::{Gone, Happening, LANDS_WITHIN_MS, Letter, PATIENCE, World};

impl World {
    pub(crate) fn later(&mut self, delay: Delay, happening: Happening) {
        self.at(self.now + delay, happening);
    }

    fn at(&mut self, at: Timestamp, happening: Happening) {
        self.serial += 1;
        self.coming.insert((at, self.serial), happening);
    }

    /// Returns how long a request, or its answer, takes on its way.
    fn latency(&mut self) -> Delay {
        let longest = if self.dice.percent(3) { 20_000 } else { 1_000 };
        self.dice.delay(1, longest)
    }

    /// Sends a request of the owner's; the network may lose it, hold it up, or lose its answer.
    pub(crate) fn send(&mut self, workspace: usize, request: Request, errand: Errand, is_straight: bool) {
        let request = self.signed(workspace, request);
        let process = self.owner().number;
        let letter = Letter { process, workspace, request, errand, sent_at: self.now, is_straight };
        self.judge_request(&letter);
        let (there, back) = (self.latency(), self.latency());
        if is_straight || !self.dice.percent(self.sketch.network_percent) {
            return self.later(there, Happening::Lands(letter, Some(back)));
        }
        let kind = self.dice.pick(&[NoAnswerKind::Cut, NoAnswerKind::TimedOut]);
        let given_up = if kind == NoAnswerKind::TimedOut { PATIENCE } else { there + back };
        let start = match letter.errand {
            Errand::Start { step, attempt } => Some((step, attempt)),
            _ => None,
        };
        let fate = self.dice.within(0, 9);
        let is_lost =
            fate <= 4 && fate > 1 && start.is_none_or(|(step, attempt)| self.swallow(step, attempt));
        let kind = match fate {
            0 | 1 => {
                self.tally.count("network never sent");
                self.dice.pick(&[NoAnswerKind::NameNotFound, NoAnswerKind::ConnectionRefused])
            }
            _ if is_lost => {
                self.tally.count("network lost");
                kind
            }
            5 | 6 => {
                self.tally.count("network answer lost");
                self.later(there, Happening::Lands(letter.clone(), None));
                kind
            }
            _ => {
                self.tally.count("network late");
                let late = given_up + self.dice.delay(1, LANDS_WITHIN_MS - 1_000);
                self.later(late, Happening::Lands(letter.clone(), None));
                kind
            }
        };
        let heard = if fate <= 1 { there } else { given_up };
        self.later(heard, Happening::Heard(letter, Err(wire::no_answer(kind))));
    }

    /// Lets everything happen that happens now.
    pub(crate) fn happen(&mut self) {
        while let Some(entry) = self.coming.first_entry()
            && entry.key().0 <= self.now
        {
            let gone = match entry.remove() {
                Happening::Lands(letter, back) => self.land(&letter, back),
                Happening::Heard(letter, sent)
                    if self.ghost.as_ref().is_some_and(|ghost| ghost.number == letter.process) =>
                {
                    self.as_ghost(|world| world.hear(letter, sent));
                    Ok(())
                }
                Happening::Heard(letter, sent) => self.hear(letter, sent),
                Happening::TakesUp => {
                    self.take_up();
                    Ok(())
                }
                Happening::Disturbs(disturbance) => self.disturb(disturbance),
            };
            if gone.is_err() {
                self.process = None;
            }
        }
    }

    fn land(&mut self, letter: &Letter, back: Option<Delay>) -> Result<(), Gone> {
        let now = self.now;
        let start = match letter.errand {
            Errand::Start { step, attempt } => Some((step, attempt)),
            _ => None,
        };
        let mut said = self.models[letter.workspace].answer(now, &letter.request);
        // The one request in five that must not come to nothing: what goes wrong below the client is put right there.
        for _ in 0..100 {
            if !letter.is_straight || said.status == 202 && said.fate == Fate::Deliver {
                break;
            }
            said = self.models[letter.workspace].answer(now, &letter.request);
        }
        self.tally.answer(&self.sketch.scripts[letter.workspace], &letter.request, &said, now);
        self.count_hidden(letter, &said);
        let mut is_accepted = false;
        if let Some((step, attempt)) = start {
            is_accepted = self.judge_landing(step, attempt, letter.workspace);
            let outcome = reading::start_outcome(wire::carried(&said), wire::HOST, false);
            match outcome {
                StartOutcome::Refused(_) => self.judge.refused(step.0, attempt),
                StartOutcome::NotSent { .. } if back.is_some() => {}
                _ if self.judge.is_accepted(step.0, attempt) => {}
                _ => {
                    // A service that says neither yes nor no five times over: the last time, it is asked once more.
                    if !self.swallow(step, attempt) && self.sketch.honours_ids() {
                        let again = Letter { is_straight: true, ..letter.clone() };
                        self.later(Delay::from_ms(1), Happening::Lands(again, None));
                    }
                }
            }
        }
        if let Some(back) = back {
            let at = now + said.delay + back;
            let given_up_at = letter.sent_at + PATIENCE;
            let sent = wire::carried(&said);
            if at > given_up_at {
                let late = wire::no_answer(NoAnswerKind::TimedOut);
                self.at(given_up_at.max(now), Happening::Heard(letter.clone(), Err(late)));
            } else {
                self.at(at, Happening::Heard(letter.clone(), sent));
            }
        }
        let is_owners = self.process.as_ref().is_some_and(|process| process.number == letter.process);
        if is_accepted && is_owners { self.pass(Point::AfterAcceptance) } else { Ok(()) }
    }

    /// Counts the answers that leave out a run which is there.
    fn count_hidden(&mut self, letter: &Letter, said: &Said) {
        let rules = &self.sketch.scripts[letter.workspace].faults;
        let has = |kind: FaultKind| rules.iter().any(|fault| fault.kind == kind);
        match &letter.errand {
            Errand::LookUp { run, .. }
                if said.status == 404
                    && has(FaultKind::HideRun)
                    && self.judge.has_accepted(letter.workspace, &run.to_string()) =>
            {
                self.tally.count("fault hide_run");
            }
            Errand::List { of: ListOf::Query { coverage: Coverage::All | Coverage::Live, .. }, .. }
                if has(FaultKind::ListLag)
                    && said.body_json()["value"].as_array().is_some_and(Vec::is_empty) =>
            {
                self.tally.count("fault list_lag");
            }
            _ => {}
        }
    }

    /// Takes in what came back, as the driver does.
    fn hear(&mut self, letter: Letter, sent: Result<Answer, NoAnswer>) -> Result<(), Gone> {
        if self.process.as_ref().is_none_or(|process| process.number != letter.process) {
            return Ok(());
        }
        self.pass(Point::BeforeAnswer)?;
        self.learn_token(letter.workspace, &sent);
        let true_time = self.now;
        let process = self.owner();
        process.wake_at = None;
        let (now, limits) = (process.now(true_time), process.limits);
        if let Some(shown) = sent.as_ref().ok().and_then(Answer::server_time) {
            process.watch.note_clock(letter.workspace, shown, now);
        }
        match letter.errand {
            Errand::Start { step, .. } => {
                let outcome = reading::start_outcome(sent, wire::HOST, false);
                let event = observe::start_answered(&process.flow, step, outcome, &limits, now);
                self.record(event)
            }
            Errand::LookUp { step, run, asked_at } => {
                let read = reading::answered(sent, wire::HOST);
                let read = read.and_then(|answer| reading::run(&answer, run, wire::HOST));
                let Some(found) = self.settle(Chore::LookUp(step), read) else { return Ok(()) };
                let process = self.owner();
                if process.flow.run(step).last_attempt().is_some_and(|attempt| attempt.run == run) {
                    process.watch.looked_up(step, found.is_some(), asked_at);
                }
                let event = found.and_then(|seen| observe::run_seen(&process.flow, step, &seen));
                event.map_or(Ok(()), |event| self.record(event))
            }
            Errand::Cancel { step, run } => {
                let read = reading::answered(sent, wire::HOST);
                let read = read.and_then(|answer| reading::cancel(&answer, wire::HOST));
                if self.settle(Chore::Cancel(step), read).is_none() {
                    return Ok(());
                }
                let event = observe::cancel_accepted(&self.owner().flow, step, run);
                event.map_or(Ok(()), |event| self.record(event))
            }
            Errand::List { of, after, pipeline, asked_at, so_far } => {
                self.hear_list(letter.workspace, of, after, pipeline, asked_at, so_far, sent)
            }
            Errand::Activities { step, run, reading } => {
                self.hear_activities(letter.workspace, step, run, reading, sent)
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one errand, taken apart by its only caller")]
    fn hear_list(
        &mut self,
        workspace: usize,
        of: ListOf,
        after: Timestamp,
        pipeline: Option<String>,
        asked_at: Timestamp,
        mut so_far: Vec<RunListed>,
        sent: Result<Answer, NoAnswer>,
    ) -> Result<(), Gone> {
        let chore = match of {
            ListOf::Query { workspace, .. } => Chore::Query(workspace),
            ListOf::Search { step, .. } => Chore::Search(step),
            ListOf::LookAround { step } => Chore::LookAround(step),
        };
        let read = reading::answered(sent, wire::HOST);
        let read = match read.and_then(|answer| reading::runs(&answer, wire::HOST)) {
            Ok(page) => {
                so_far.extend(page.records);
                if let Some(token) = page.continuation {
                    let request =
                        wire::list_runs(after, pipeline.as_deref(), of.is_of_live_runs(), Some(&token));
                    self.send(
                        workspace,
                        request,
                        Errand::List { of, after, pipeline, asked_at, so_far },
                        false,
                    );
                    return Ok(());
                }
                Ok(so_far)
            }
            Err(failure) => Err(failure),
        };
        let Some(runs) = self.settle(chore, read) else { return Ok(()) };
        let process = self.owner();
        match of {
            ListOf::Query { workspace, coverage } => {
                let seen: Vec<RunSeen> = runs.into_iter().map(|run| run.seen).collect();
                process.watch.listed(&process.flow, workspace, coverage, asked_at, &seen);
                for event in observe::runs_listed(&process.flow, &seen) {
                    self.record(event)?;
                    self.pass(Point::BetweenEvents)?;
                }
            }
            ListOf::Search { step, from, to } => {
                let Some(tried) = process.flow.run(step).last_attempt() else { return Ok(()) };
                let fits = |run: &RunListed| {
                    run.has_parameters(&tried.parameters)
                        && run.seen.run_start.is_none_or(|start| (from..=to).contains(&start))
                };
                let found = runs.into_iter().filter(fits).map(|run| run.seen).collect();
                process.watch.searched(step, found, asked_at);
            }
            ListOf::LookAround { step } => {
                let live = runs.into_iter().filter(|run| !run.seen.status.is_terminal());
                let sent = serde_json::Map::new();
                let nearby =
                    live.map(|run| RunNearby { run: run.seen.run, is_equal: run.has_parameters(&sent) });
                process.watch.looked_around(step, nearby.collect(), asked_at);
            }
        }
        Ok(())
    }

    /// Reads the activities of a run, then the runs below it that are asked for, one after the other.
    fn hear_activities(
        &mut self,
        workspace: usize,
        step: StepIndex,
        run: RunId,
        mut reading: Reading,
        sent: Result<Answer, NoAnswer>,
    ) -> Result<(), Gone> {
        let chore = Chore::ReadActivities(step);
        let answer = match reading::answered(sent, wire::HOST) {
            Ok(answer) => answer,
            Err(failure) => {
                self.fail(chore, failure);
                return Ok(());
            }
        };
        if let Some((child, None)) = reading.child.clone() {
            match reading::run(&answer, child, wire::HOST) {
                Err(failure) => {
                    self.fail(chore, failure);
                    return Ok(());
                }
                Ok(Some(seen)) if !seen.status.is_terminal() => {
                    reading.own.get_or_insert_default().live.insert(child);
                    reading.child = None;
                }
                Ok(Some(seen)) => {
                    let request = wire::activities(&seen.pipeline, child, None);
                    reading.child = Some((child, Some(seen.pipeline)));
                    self.send(workspace, request, Errand::Activities { step, run, reading }, false);
                    return Ok(());
                }
                Ok(None) => {
                    reading.own.get_or_insert_default().below.insert(child, ChildActivities::default());
                    reading.child = None;
                }
            }
        } else {
            let page = match reading::activities(&answer, wire::HOST) {
                Ok(page) => page,
                Err(failure) => {
                    self.fail(chore, failure);
                    return Ok(());
                }
            };
            reading.so_far.extend(page.records);
            if let Some(token) = page.continuation {
                let (pipeline, of) = match &reading.child {
                    Some((child, Some(pipeline))) => (pipeline.clone(), *child),
                    _ => (self.owner().flow.step(step).pipeline.clone(), run),
                };
                let request = wire::activities(&pipeline, of, Some(&token));
                self.send(workspace, request, Errand::Activities { step, run, reading }, false);
                return Ok(());
            }
            let rows = std::mem::take(&mut reading.so_far);
            match (reading.child.take(), &mut reading.own) {
                (Some((child, pipeline)), Some(own)) => {
                    let pipeline = pipeline.unwrap_or_default();
                    own.below.insert(child, ChildActivities { pipeline, rows });
                }
                (_, own) => *own = Some(RunActivities::of(rows)),
            }
        }
        if let Some(child) = reading.own.as_ref().and_then(|own| own.next_below(reading.below)) {
            reading.child = Some((child, None));
            let request = wire::get_run(child);
            self.send(workspace, request, Errand::Activities { step, run, reading }, false);
            return Ok(());
        }
        let now = self.now;
        let process = self.owner();
        let (at, limits) = (process.now(now), process.limits);
        process.watch.answered(chore, &limits, at);
        let own = reading.own.unwrap_or_default();
        let event = observe::activities_read(&process.flow, step, &own);
        event.map_or(Ok(()), |event| self.record(event))
    }

    fn fail(&mut self, chore: Chore, failure: CallFailure) {
        let none: Option<()> = self.settle(chore, Err(failure));
        assert!(none.is_none());
    }

    /// Keeps the schedule of a question.
    fn settle<T>(&mut self, chore: Chore, read: Result<T, CallFailure>) -> Option<T> {
        let now = self.now;
        let process = self.owner();
        let (at, limits) = (process.now(now), process.limits);
        match read {
            Ok(value) => {
                process.watch.answered(chore, &limits, at);
                Some(value)
            }
            Err(failure) => {
                let pause = process.watch.failed(chore, &limits, at, failure.after());
                assert!(pause > Delay::ZERO, "a failed question rests");
                None
            }
        }
    }

    /// Returns the request with the process's token, where the night has tokens; asks for one if there is none.
    fn signed(&mut self, workspace: usize, request: Request) -> Request {
        if !self.sketch.has_sign_in {
            return request;
        }
        let now = self.now;
        if self.owner().tokens.get(&workspace).is_none_or(|(_, ends_at)| *ends_at <= now) {
            let scope = "https%3A%2F%2Fdev.azuresynapse.net%2F.default";
            let who = format!("client_id={CLIENT_ID}&client_secret={CLIENT_SECRET}");
            let form = format!("grant_type=client_credentials&{who}&scope={scope}");
            let mut ask = Request::new("POST", &format!("/{TENANT_ID}/oauth2/v2.0/token"))
                .with_header("content-type", "application/x-www-form-urlencoded");
            ask.body = form.into_bytes();
            let said = self.models[workspace].answer(now, &ask);
            self.tally.answer(&self.sketch.scripts[workspace], &ask, &said, now);
            let body = said.body_json();
            let token = body["access_token"].as_str().expect("the token endpoint is well").to_owned();
            let lasts = body["expires_in"].as_u64().expect("a number of seconds");
            self.owner().tokens.insert(workspace, (token, now + Delay::from_secs(lasts)));
        }
        let token = self.owner().tokens[&workspace].0.clone();
        request.with_header("authorization", &format!("Bearer {token}"))
    }

    /// Forgets a token that the service did not take.
    fn learn_token(&mut self, workspace: usize, sent: &Result<Answer, NoAnswer>) {
        if sent.as_ref().is_ok_and(|answer| answer.status == http::StatusCode::UNAUTHORIZED) {
            self.owner().tokens.remove(&workspace);
        }
    }
}
