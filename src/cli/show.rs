//! How progress is shown: what the flags, the environment and the terminal say of it.

use std::io::{self, IsTerminal, Write};

use crate::cli::args::{Progress, Showing};
use crate::cli::failure::Failure;
use crate::cli::settings::Settings;
use crate::cli::{outlet, pace};
use crate::flow::Flow;
use crate::report::{Bars, Expected, Lines, Links, Look, Report, Studio, Telling, Terminal};
use crate::synapse::SynapseClient;
use crate::time::Delay;

/// The longest silence of the lines. CI systems end a job that says nothing for long.
const MAX_SILENCE: Delay = Delay::from_secs(60);

/// The shortest that can be asked for, for tests.
const SILENCE_MIN: Delay = Delay::from_ms(100);

/// The longest that can be asked for: above it nobody would ask.
const SILENCE_MAX: Delay = Delay::from_secs(24 * 3600);

/// How progress is shown.
pub(super) struct Shown {
    has_bars: bool,
    silence: Delay,
    look: Look,
    /// Whether lines go to a terminal and not through a CI service.
    is_for_terminal: bool,
    /// Whether links to runs would be seen.
    has_links: bool,
}

impl Shown {
    /// Settles how the progress of a flow is shown. Nothing leads to a workspace that ends with this process.
    ///
    /// Fails with exit 2 if the longest silence is no duration or out of bounds.
    pub(super) fn of(args: &Showing, settings: &Settings, is_emulated: bool) -> Result<Self, Failure> {
        let has_bars = match args.progress {
            Progress::Auto => settings.terminal && !settings.is_ci() && !args.quiet,
            // What moves is not for a log.
            Progress::Bar => settings.ci.is_none(),
            Progress::Lines | Progress::None => false,
        };
        let telling = match (args.progress, args.quiet, args.verbose) {
            (Progress::None, ..) => Telling::Nothing,
            (_, true, _) => Telling::Problems,
            (_, _, true) => Telling::Everything,
            _ => Telling::Facts,
        };
        Ok(Self {
            has_bars,
            silence: silence(args)?,
            is_for_terminal: io::stderr().is_terminal() && settings.ci.is_none(),
            has_links: has_bars && !is_emulated && settings.takes_links(),
            look: Look {
                colour: settings.colour,
                task_bar: has_bars && !is_emulated && settings.takes_task_bar(),
                links: Links::default(),
                telling,
            },
        })
    }

    /// Returns the same for a flow whose time goes so many times faster than the clock.
    pub(super) fn faster(mut self, speed: f64) -> Self {
        self.silence = self.silence.scaled(speed.max(1.0));
        self
    }

    /// Makes the report.
    pub(super) fn report(self, expected: Expected) -> Box<dyn Report> {
        if self.has_bars {
            return Box::new(Bars::on_stderr(self.look, expected));
        }
        let writer: Box<dyn Write + Send> =
            if self.is_for_terminal { Box::new(Terminal::stderr()) } else { Box::new(outlet::stderr()) };
        Box::new(Lines::new(writer).telling(self.look.telling).alive(self.silence, expected))
    }
}

/// Says whether the command line says how to show progress.
pub(super) fn is_asked_for(args: &Showing) -> bool {
    args.progress != Progress::Auto || args.quiet || args.verbose
}

fn silence(args: &Showing) -> Result<Delay, Failure> {
    pace::duration(args.max_silence.as_deref(), "--max-silence", MAX_SILENCE, SILENCE_MIN, SILENCE_MAX)
}

/// Finds out where the flow's workspaces are in Synapse Studio, if that is to be shown: from the id of a pipeline, which
/// begins with that of its workspace. Never becomes ready; a workspace that does not tell has no links.
pub(super) fn find_studios(
    flow: &Flow,
    clients: &[SynapseClient],
    shown: &Shown,
) -> impl Future<Output = ()> + use<> {
    let links = shown.look.links.clone();
    let first = |workspace: usize| {
        let mut steps = flow.steps().filter(move |(_, step, _)| step.workspace == workspace);
        steps.next().map(|(_, step, _)| step.pipeline.clone())
    };
    let clients = clients.iter().enumerate().filter(|_| shown.has_links);
    let asked: Vec<(usize, SynapseClient, String)> = clients
        .filter_map(|(workspace, client)| Some((workspace, client.clone(), first(workspace)?)))
        .collect();
    async move {
        for (workspace, client, pipeline) in asked {
            let Ok(Some(resource)) = client.pipeline(&pipeline).await else { continue };
            let studio =
                resource["id"].as_str().and_then(|id| Studio::of(&client.endpoint().to_string(), id));
            if let Some(studio) = studio {
                links.learn(workspace, studio);
            }
        }
        std::future::pending::<()>().await;
    }
}
