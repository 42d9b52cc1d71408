//! Sends a flow's trace to an OpenTelemetry collector, beside what shows the flow.
//!
//! Never holds up or fails a flow: spans are sent in batches by a thread of their own, what is left at the end has a few
//! seconds, and a collector that does not take them is one note. What is said in the standard's variables (address,
//! headers, batches, resource) is read by the SDK itself; what it would pass over in silence is read here.

use std::collections::{BTreeMap, HashMap};
use std::future::{self, Future};
use std::pin::Pin;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::{
    Event, Link, SpanContext, SpanId, SpanKind as Kind, Status, TraceContextExt, TraceFlags, TraceId,
    TraceState,
};
use opentelemetry::{InstrumentationScope, Key, KeyValue};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::WithHttpConfig;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks, SpanProcessor,
};
use tokio::runtime;

use crate::flow::{ActivitySeen, Flow, Recorded};
use crate::plan::StepIndex;
use crate::report::trace::{Attribute, Parent, Span, SpanKind, Trace, Value};
use crate::report::{Beside, Report};
use crate::synapse::Http;
use crate::time::{Delay, Timestamp};

/// How long the end of a flow waits for what has not been sent.
const FLUSH_LIMIT: Duration = Duration::from_secs(3);

/// How long a flow that goes on without us waits for it.
const LEAVING_LIMIT: Duration = Duration::from_secs(1);

/// How much of the time that a process has left, once it was asked to leave, is for others.
const LEFT_TO_OTHERS: Duration = Duration::from_millis(400);

/// How long the collector may take for a batch where nothing else is set.
const EXPORT_LIMIT: Delay = Delay::from_secs(10);

/// Spans that wait to be sent. A wide flow may end many steps in one turn of the loop.
const QUEUE_SPANS_MIN: usize = 8_192;

/// See `QUEUE_SPANS_MIN`.
const QUEUE_SPANS_MAX: usize = 32_768;

/// Where the traces go, and what they are a part of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The collector's host, with the port where one is named.
    host: String,
    export_limit: Delay,
    parent: Option<Parent>,
    is_sampled: bool,
    /// Whether `OTEL_BSP_MAX_QUEUE_SIZE` says how many spans may wait.
    is_queue_set: bool,
}

impl Target {
    /// Reads the environment; call it only where an address is set. Fails with the reason, for people, if traces cannot
    /// be sent as it says.
    pub fn read(env: &BTreeMap<String, String>) -> Result<Self, String> {
        const UNFIT: &str = "it is no http or https address, such as http://localhost:4318";
        for name in names("PROTOCOL") {
            match variable(env, &name).map(str::to_ascii_lowercase).as_deref() {
                None => {}
                Some("http/protobuf") => break,
                Some(other) => {
                    return Err(format!(
                        "{name} asks for `{other}`, and synflow speaks http/protobuf alone; collectors take that at \
                         port 4318"
                    ));
                }
            }
        }
        let first = |what| names(what).into_iter().find_map(|name| variable(env, &name));
        let url: http::Uri = first("ENDPOINT").and_then(|text| text.parse().ok()).ok_or(UNFIT)?;
        let host = match (url.scheme_str(), url.authority()) {
            (Some("http" | "https"), Some(authority)) => authority.as_str(),
            _ => return Err(UNFIT.to_owned()),
        };
        // What stands before an @ may be a password.
        let host = host.rsplit('@').next().unwrap_or(host).to_owned();
        let limit = first("TIMEOUT").and_then(|ms| ms.parse().ok());
        let (parent, is_sampled) = parent(env);
        let export_limit = limit.map_or(EXPORT_LIMIT, Delay::from_ms);
        let is_queue_set = variable(env, "OTEL_BSP_MAX_QUEUE_SIZE").is_some();
        Ok(Self { host, export_limit, parent, is_sampled, is_queue_set })
    }
}

/// Returns the variables that say something of traces, the more special one first.
fn names(what: &str) -> [String; 2] {
    [format!("OTEL_EXPORTER_OTLP_TRACES_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")]
}

fn variable<'a>(env: &'a BTreeMap<String, String>, name: &str) -> Option<&'a str> {
    env.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// Returns the span that `TRACEPARENT` names, and whether its trace is kept at all. What is no such name is passed over,
/// as the W3C's recommendation asks.
fn parent(env: &BTreeMap<String, String>) -> (Option<Parent>, bool) {
    let Some(text) = variable(env, "TRACEPARENT") else { return (None, true) };
    let carrier = HashMap::from([("traceparent".to_owned(), text.to_owned())]);
    let context = TraceContextPropagator::new().extract(&carrier);
    let span = context.span().span_context().clone();
    if !span.is_valid() {
        return (None, true);
    }
    let trace = u128::from_be_bytes(span.trace_id().to_bytes());
    (Some(Parent { trace, span: u64::from_be_bytes(span.span_id().to_bytes()) }), span.is_sampled())
}

/// Says how long this process may still take; nothing where nobody has asked it to leave.
pub type TimeLeft = Box<dyn Fn() -> Option<Duration> + Send>;

/// A report that also sends what it is told as spans.
pub struct Traced {
    inner: Box<dyn Report>,
    trace: Trace,
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    host: String,
    trouble: Arc<Trouble>,
    has_told: bool,
    time_left: TimeLeft,
}

impl Traced {
    /// Puts itself before `inner`, which shows the flow and says what stands against sending its trace. `earlier` is
    /// what other processes have recorded of the flow.
    pub fn before(
        mut inner: Box<dyn Report>,
        flow: &Flow,
        earlier: &[Recorded],
        target: &Target,
        http: Http,
        time_left: TimeLeft,
        now: Timestamp,
    ) -> Box<dyn Report> {
        // Whoever began the trace has decided that nobody keeps it.
        if !target.is_sampled {
            return inner;
        }
        let trouble = Arc::new(Trouble::default());
        let wire = Wire {
            http,
            limit: target.export_limit,
            runtime: OnceLock::new(),
            trouble: Arc::clone(&trouble),
        };
        let exporter =
            match opentelemetry_otlp::SpanExporter::builder().with_http().with_http_client(wire).build() {
                Ok(exporter) => Exporter { exporter, trouble: Arc::clone(&trouble) },
                Err(error) => {
                    inner.note(now, &format!("no traces are sent: {error}"));
                    return inner;
                }
            };
        let mut batches = BatchConfigBuilder::default();
        if !target.is_queue_set {
            // Step, attempt, some activities.
            let queue = (4 * flow.plan().steps.len()).clamp(QUEUE_SPANS_MIN, QUEUE_SPANS_MAX);
            batches = batches.with_max_queue_size(queue);
        }
        let mut processor = BatchSpanProcessor::builder(exporter).with_batch_config(batches.build()).build();
        processor.set_resource(&resource());
        let mut trace = Trace::of(flow.header(), target.parent);
        for recorded in earlier {
            trace.recall(recorded);
        }
        let scope = InstrumentationScope::builder("synflow").with_version(env!("CARGO_PKG_VERSION")).build();
        let (host, has_told) = (target.host.clone(), false);
        Box::new(Self { inner, trace, processor, scope, host, trouble, has_told, time_left })
    }

    /// Says once that spans were lost, if some were.
    fn tell(&mut self, now: Timestamp) {
        if self.has_told || !self.trouble.has_lost() {
            return;
        }
        self.has_told = true;
        let why = self.trouble.why().unwrap_or_else(|| "no answer in time".to_owned());
        self.inner.note(now, &format!("traces do not reach {}: {why}; the flow is not affected", self.host));
    }

    fn data(&self, span: Span) -> SpanData {
        let mut events = SpanEvents::default();
        events.events = span
            .moments
            .into_iter()
            .map(|moment| Event::new(moment.name, time(moment.at), pairs(moment.attributes), 0))
            .collect();
        let mut links = SpanLinks::default();
        links.links = span.follows.iter().map(|id| Link::with_context(self.context(*id))).collect();
        SpanData {
            span_context: self.context(span.id),
            parent_span_id: span.parent.map_or(SpanId::INVALID, |id| SpanId::from_bytes(id.to_be_bytes())),
            parent_span_is_remote: span.has_foreign_parent,
            span_kind: match span.kind {
                SpanKind::Flow => Kind::Server,
                SpanKind::Step | SpanKind::Activity => Kind::Internal,
                SpanKind::Attempt => Kind::Client,
            },
            name: span.name.into(),
            start_time: time(span.start),
            end_time: time(span.end),
            attributes: pairs(span.attributes),
            dropped_attributes_count: 0,
            events,
            links,
            status: span.failure.map_or(Status::Unset, Status::error),
            instrumentation_scope: self.scope.clone(),
        }
    }

    fn context(&self, span: u64) -> SpanContext {
        SpanContext::new(
            TraceId::from_bytes(self.trace.id().to_be_bytes()),
            SpanId::from_bytes(span.to_be_bytes()),
            TraceFlags::SAMPLED,
            false,
            TraceState::NONE,
        )
    }
}

impl Report for Traced {
    fn on(&mut self, recorded: &Recorded, flow: &Flow) {
        self.inner.on(recorded, flow);
        for span in self.trace.on(recorded, flow) {
            self.processor.on_end(self.data(span));
        }
        self.tell(recorded.at);
    }

    fn note(&mut self, now: Timestamp, text: &str) {
        self.inner.note(now, text);
    }

    fn ask(&mut self, now: Timestamp, question: &[&str]) {
        self.inner.ask(now, question);
    }

    fn typed(&mut self) {
        self.inner.typed();
    }

    fn pause(&mut self, now: Timestamp) {
        self.inner.pause(now);
    }

    fn snapshot(&mut self, now: Timestamp, flow: &Flow) {
        self.inner.snapshot(now, flow);
    }

    fn tick(&mut self, now: Timestamp, flow: &Flow) {
        self.tell(now);
        self.inner.tick(now, flow);
    }

    fn tick_gap(&self) -> Option<Delay> {
        self.inner.tick_gap()
    }

    fn watched(&self, flow: &Flow) -> Vec<StepIndex> {
        self.inner.watched(flow)
    }

    fn activities(&mut self, step: StepIndex, activities: &[ActivitySeen]) {
        self.inner.activities(step, activities);
    }

    fn compare(&mut self, beside: &Beside) {
        self.inner.compare(beside);
    }

    /// Sends what is left before the end is shown: that ends with the command to type next.
    fn finish(&mut self, now: Timestamp, flow: &Flow) {
        let usual = if flow.is_detached() { LEAVING_LIMIT } else { FLUSH_LIMIT };
        let limit = (self.time_left)().map_or(usual, |left| left.saturating_sub(LEFT_TO_OTHERS).min(usual));
        if self.processor.shutdown_with_timeout(limit).is_err() {
            self.trouble.lose();
        }
        self.tell(now);
        self.inner.finish(now, flow);
    }
}

/// What has gone wrong with sending.
#[derive(Debug, Default)]
struct Trouble {
    /// Whether spans were lost, and why the last request failed.
    state: Mutex<(bool, Option<String>)>,
}

impl Trouble {
    fn has_lost(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    fn lose(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).0 = true;
    }

    fn why(&self) -> Option<String> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1.clone()
    }

    fn note(&self, why: String) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(why);
    }
}

/// The SDK's exporter, and whether it has given up a batch.
#[derive(Debug)]
struct Exporter {
    exporter: opentelemetry_otlp::SpanExporter,
    trouble: Arc<Trouble>,
}

impl SpanExporter for Exporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let sent = self.exporter.export(batch).await;
        if sent.is_err() {
            self.trouble.lose();
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

/// Sends what the SDK's exporter has written, by our own client: certificates and proxies are decided there.
#[derive(Debug)]
struct Wire {
    http: Http,
    limit: Delay,
    /// Made in the thread that sends, which may outlive the runtime that drives the flow.
    runtime: OnceLock<Option<runtime::Runtime>>,
    trouble: Arc<Trouble>,
}

impl Wire {
    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let make = || runtime::Builder::new_current_thread().enable_all().build().ok();
        let runtime = self.runtime.get_or_init(make).as_ref().ok_or("no runtime can be made")?;
        match runtime.block_on(self.http.forward(request.map(Into::into), self.limit)) {
            Ok(response) => {
                if !response.status().is_success() {
                    self.trouble.note(format!("it answered {}", response.status()));
                }
                Ok(response.map(Bytes::from))
            }
            Err(why) => {
                self.trouble.note(why.to_string());
                Err(why.to_string().into())
            }
        }
    }
}

impl HttpClient for Wire {
    // The signature is what `async_trait` makes of it. The work is done at once: the thread has nothing else to do.
    fn send_bytes<'a, 'b>(
        &'a self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(future::ready(self.send(request)))
    }
}

/// Returns what the spans say of this program: what the environment says, and our name where it says none.
fn resource() -> Resource {
    let usual = Resource::builder().build();
    let name = usual.get(&Key::new("service.name")).map(|name| name.to_string()).unwrap_or_default();
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    // The SDK's word for a service without a name, which the standard prescribes.
    if name.starts_with("unknown_service") {
        builder.with_service_name("synflow").build()
    } else {
        builder.build()
    }
}

fn pairs(attributes: Vec<Attribute>) -> Vec<KeyValue> {
    let pair = |(name, value)| match value {
        Value::Text(text) => KeyValue::new(name, text),
        Value::Number(number) => KeyValue::new(name, number),
        Value::Flag(flag) => KeyValue::new(name, flag),
    };
    attributes.into_iter().map(pair).collect()
}

fn time(at: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Delay::from_ms(at.epoch_ms().unsigned_abs()).to_std()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use serde_json::json;

    use super::{EXPORT_LIMIT, Target, Traced};
    use crate::flow::{ActivitySeen, Event, Flow, Recorded};
    use crate::plan::StepIndex;
    use crate::report::{Beside, Report};
    use crate::synapse::{Http, HttpSettings};
    use crate::time::{Delay, Timestamp};

    /// Writes down what it is told.
    struct Probe(Arc<Mutex<Vec<&'static str>>>);

    impl Probe {
        fn hear(&self, what: &'static str) {
            self.0.lock().expect("nobody panics").push(what);
        }
    }

    impl Report for Probe {
        fn on(&mut self, _recorded: &Recorded, _flow: &Flow) {
            self.hear("on");
        }
        fn note(&mut self, _now: Timestamp, _text: &str) {
            self.hear("note");
        }
        fn ask(&mut self, _now: Timestamp, _question: &[&str]) {
            self.hear("ask");
        }
        fn typed(&mut self) {
            self.hear("typed");
        }
        fn pause(&mut self, _now: Timestamp) {
            self.hear("pause");
        }
        fn snapshot(&mut self, _now: Timestamp, _flow: &Flow) {
            self.hear("snapshot");
        }
        fn tick(&mut self, _now: Timestamp, _flow: &Flow) {
            self.hear("tick");
        }
        fn tick_gap(&self) -> Option<Delay> {
            self.hear("tick_gap");
            None
        }
        fn watched(&self, _flow: &Flow) -> Vec<StepIndex> {
            self.hear("watched");
            Vec::new()
        }
        fn activities(&mut self, _step: StepIndex, _activities: &[ActivitySeen]) {
            self.hear("activities");
        }
        fn compare(&mut self, _beside: &Beside) {
            self.hear("compare");
        }
        fn finish(&mut self, _now: Timestamp, _flow: &Flow) {
            self.hear("finish");
        }
    }

    #[test]
    fn what_shows_the_flow_is_told_everything() {
        let header = json!({
            "id": "7f3a9c", "plan_name": "night", "plan_file": "", "plan_sha256": "", "environment": "",
            "plan_text": "version: 1\nname: night\nworkspace: w\nsteps: { a: {} }\n", "run_key": "",
            "inputs": {}, "env": {}, "created_at": "2026-11-24T23:50:00.000Z", "emulated": false,
            "max_parallel": 20, "seed": 1, "trust": {}
        });
        let flow = Flow::from_header(serde_json::from_value(header).expect("a header")).expect("a flow");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let target = Target {
            host: "localhost:4318".to_owned(),
            export_limit: EXPORT_LIMIT,
            parent: None,
            is_sampled: true,
            is_queue_set: false,
        };
        let http = Http::new(&HttpSettings::default()).expect("TLS");
        let at = Timestamp::default();
        let probe = Box::new(Probe(Arc::clone(&heard)));
        let mut traced = Traced::before(probe, &flow, &[], &target, http, Box::new(|| None), at);
        traced.compare(&Beside::default());
        traced.on(&Recorded { seq: 1, at, event: Event::CancelRequested }, &flow);
        traced.note(at, "");
        traced.ask(at, &["?"]);
        traced.typed();
        traced.pause(at);
        traced.snapshot(at, &flow);
        traced.tick(at, &flow);
        traced.tick_gap();
        traced.watched(&flow);
        traced.activities(StepIndex(0), &[]);
        traced.finish(at, &flow);
        let want = [
            "compare",
            "on",
            "note",
            "ask",
            "typed",
            "pause",
            "snapshot",
            "tick",
            "tick_gap",
            "watched",
            "activities",
            "finish",
        ];
        assert_eq!(*heard.lock().expect("nobody panics"), want);
    }
}
