//! How the receivers of a plan's webhooks come to be told: beside the flow, which they neither hold up nor fail.

use serde_json::Value;
use tokio::task::JoinSet;

use crate::driver::{Driver, Ending, Goal, Wishes};
use crate::flow::Event;
use crate::flow::notice::{Notice, Occasion, Unmade};
use crate::hook::{Letter, Post, Refusal};
use crate::plan::{self, Cloud};
use crate::secret::Secrets;

/// What is being told.
#[derive(Default)]
pub(super) struct Telling {
    /// Sends; nobody is told without it.
    post: Option<Post>,
    under_way: JoinSet<Told>,
}

/// What came of a notice.
pub(super) struct Told {
    name: String,
    origin: String,
    answer: Result<(), String>,
}

impl Telling {
    /// Waits for the next answer; for ever if none is to come.
    pub(super) async fn next(&mut self) -> Told {
        loop {
            match self.under_way.join_next().await {
                Some(Ok(told)) => return told,
                // One that broke down has nothing to say.
                Some(Err(_)) => {}
                None => std::future::pending().await,
            }
        }
    }

    /// Says whether an answer is still to come.
    pub(super) fn is_under_way(&self) -> bool {
        !self.under_way.is_empty()
    }
}

impl Driver {
    /// Takes what sends the notices of the plan's webhooks.
    #[must_use]
    pub fn with_post(mut self, post: Post) -> Self {
        self.telling.post = Some(post);
        self
    }

    /// Tells of an event that the flow has just taken in, if it is the first to say that the flow is late.
    pub(super) fn tell_if_late(&mut self, event: &Event) {
        let was_told = || self.flow.due().is_some_and(|due| due.at_risk.is_some());
        match event {
            Event::DeadlineAtRisk { .. } => self.tell(Occasion::Deadline),
            Event::DeadlineMissed { .. } if !was_told() => self.tell(Occasion::Deadline),
            _ => {}
        }
    }

    /// Tells how the flow has ended, if it has, and waits for the answers; whoever wants to leave meanwhile need not.
    pub(super) async fn tell_of_end(&mut self, ending: Ending, goal: Goal, wishes: &mut Wishes) {
        let is_over = match ending {
            Ending::Settled => true,
            // That a process ended but one step of it changes nothing of what was told before.
            Ending::WaitsForAPerson => !matches!(goal, Goal::StepOver(_)),
            Ending::Detached => false,
        };
        if is_over {
            for occasion in self.flow.occasions() {
                self.tell(occasion);
            }
        }
        self.hear_back(wishes).await;
    }

    /// Waits for the answers of those who are being told; each of them has its limit.
    pub(super) async fn hear_back(&mut self, wishes: &mut Wishes) {
        while self.telling.is_under_way() {
            tokio::select! {
                told = self.telling.next() => self.note_told(&told),
                Some(wish) = wishes.recv() => if !self.show(&wish) {
                    return self.stop_telling();
                },
            }
        }
    }

    /// Gives up on those who have not answered.
    pub(super) fn stop_telling(&mut self) {
        let count = self.telling.under_way.len();
        if count > 0 {
            let webhooks = if count == 1 { "1 webhook".to_owned() } else { format!("{count} webhooks") };
            self.report.note(self.clock.now(), &format!("left before {webhooks} had answered"));
        }
        self.telling.under_way = JoinSet::new();
    }

    /// Says what came of a notice.
    pub(super) fn note_told(&mut self, told: &Told) {
        let Told { name, origin, answer } = told;
        let text = match answer {
            Ok(()) => format!("{name}: told {origin}"),
            Err(why) => format!("{name}: could not tell {origin}: {}", self.unspoken(why)),
        };
        self.report.note(self.clock.now(), &text);
    }

    fn tell(&mut self, occasion: Occasion) {
        for made in self.flow.notices(occasion) {
            match made {
                // A person who tries a plan at home must not wake those on call.
                Ok(notice) if self.flow.header().emulated => self.report.note(
                    self.clock.now(),
                    &format!("{}: not sent by an emulated flow: {}", notice.name, described(&notice)),
                ),
                Ok(notice) => self.post(notice),
                Err(Unmade { name, why }) => {
                    let why = self.unspoken(&why);
                    self.report.note(self.clock.now(), &format!("{name}: could not be made: {why}"));
                }
            }
        }
    }

    fn post(&mut self, notice: Notice) {
        let Some(post) = self.telling.post.clone() else { return };
        let (secrets, cloud) = (self.secrets.clone(), self.flow.plan().cloud_of_hooks());
        self.telling.under_way.spawn(async move {
            let answer = post.send(|| letter(&secrets, cloud, &notice)).await;
            Told { name: notice.name, origin: notice.origin, answer }
        });
    }
}

/// Puts the secrets into a notice: here alone, and it goes no further than to its receiver.
async fn letter(secrets: &Secrets, cloud: Cloud, notice: &Notice) -> Result<Letter, Refusal> {
    let filled = secrets.fill(cloud, &notice.request, &notice.secrets).await;
    let filled =
        filled.map_err(|failure| Refusal { is_final: !failure.is_transient(), why: failure.to_string() })?;
    let text = |value: Option<&Value>| match value {
        Some(Value::String(text)) => text.clone(),
        other => other.map(Value::to_string).unwrap_or_default(),
    };
    let request = filled.expose();
    let url = text(request.get("url"));
    if let Err(refusal) = plan::origin_of(&url) {
        return Err(Refusal { why: format!("it {}; {}", refusal.reason, refusal.help), is_final: true });
    }
    let headers = request.get("headers").and_then(Value::as_object).into_iter().flatten();
    let headers = headers.map(|(name, value)| (name.clone(), text(Some(value)))).collect();
    Ok(Letter { url, headers, body: text(request.get("body")) })
}

/// Says what a notice would send, without what may be secret.
fn described(notice: &Notice) -> String {
    let kind = notice.kind.split(';').next().unwrap_or_default();
    let bytes = match notice.request.get("body") {
        Some(Value::String(text)) => text.len(),
        other => other.map_or(0, |body| body.to_string().len()),
    };
    format!("{bytes} bytes of {kind} to {}", notice.origin)
}
