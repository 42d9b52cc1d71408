//! Traces of flows, where the environment asks for them (`docs/tracing.md`). Nothing here fails a flow.

use crate::cli::settings::Settings;
use crate::driver::{Leaving, now};
use crate::flow::Flow;
use crate::journal::Journal;
#[cfg(feature = "otel")]
use crate::otlp::{Target, Traced};
use crate::report::Report;
use crate::synapse::Http;

/// The standard's variables for the collector's address, the more special one first.
const ADDRESSES: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

/// Lets a report send the flow's trace as well, if that is asked for, and note what stands against it.
#[cfg_attr(not(feature = "otel"), expect(unused_variables, reason = "a build without traces only says so"))]
pub(super) fn along(
    mut report: Box<dyn Report>,
    flow: &Flow,
    journal: &mut Journal,
    http: &Http,
    leaving: &Leaving,
    settings: &Settings,
) -> Box<dyn Report> {
    let Some(variable) = asking(settings) else { return report };
    #[cfg(feature = "otel")]
    match Target::read(&settings.env) {
        Ok(target) => {
            // A journal that cannot be read cannot be written either: the flow fails of that in a moment.
            let earlier = journal.events_after(&flow.header().id, 0).unwrap_or_default();
            let leaving = leaving.clone();
            let left = Box::new(move || leaving.left());
            return Traced::before(report, flow, &earlier, &target, http.clone(), left, now());
        }
        Err(why) => report.note(now(), &format!("{variable} asks for traces, and none are sent: {why}")),
    }
    #[cfg(not(feature = "otel"))]
    report.note(
        now(),
        &format!(
            "{variable} asks for traces, and none are sent: this synflow was built without the feature `otel`"
        ),
    );
    report
}

/// Returns the variable that asks for traces; nothing where none does.
fn asking(settings: &Settings) -> Option<&'static str> {
    let is =
        |name: &str, word: &str| settings.env(name).is_some_and(|value| value.eq_ignore_ascii_case(word));
    if is("OTEL_SDK_DISABLED", "true") || is("OTEL_TRACES_EXPORTER", "none") {
        return None;
    }
    ADDRESSES.into_iter().find(|name| settings.env(name).is_some())
}
