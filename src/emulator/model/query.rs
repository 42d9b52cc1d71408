//! The two query calls: time windows, filters, order, pages of 100.

use serde_json::{Map, Value, json};

use super::generator::digest;
use super::identity::base64url;
use super::message::{Answer, Request};
use super::run::Run;
use crate::time::Timestamp;

/// Records a page holds (protocol 5.2).
const PAGE: usize = 100;
/// Members of a run that may be filtered and ordered by, as the service calls them.
const RUN_OPERANDS: [&str; 6] = ["PipelineName", "RunStart", "RunEnd", "Status", "RunGroupId", "LatestOnly"];
const RUN_ORDERS: [&str; 4] = ["PipelineName", "RunStart", "RunEnd", "Status"];
const ACTIVITY_OPERANDS: [&str; 5] =
    ["ActivityName", "ActivityRunStart", "ActivityRunEnd", "ActivityType", "Status"];
const ACTIVITY_ORDERS: [&str; 4] = ["ActivityName", "ActivityRunStart", "ActivityRunEnd", "Status"];

/// A record with what it can be found by.
struct Found {
    updated_at: Timestamp,
    /// Values by operand.
    values: Vec<(&'static str, Key)>,
    json: Value,
}

/// A value to compare by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Time(Option<Timestamp>),
    Text(String),
}

/// A checked query.
struct Query {
    after: Timestamp,
    before: Timestamp,
    filters: Vec<Filter>,
    orders: Vec<(String, bool)>,
    /// How many records earlier pages held.
    skip: usize,
    /// A number for everything but the page.
    mark: u64,
}

struct Filter {
    operand: String,
    is_negated: bool,
    values: Vec<String>,
}

/// Answers `queryPipelineRuns`. `hides` says which runs the list does not know of yet.
pub(super) fn runs(request: &Request, all: &[Run], root: &str, hides: impl Fn(&Run) -> bool) -> Answer {
    let query = match Query::read(request, &RUN_OPERANDS, &RUN_ORDERS) {
        Ok(query) => query,
        Err(answer) => return *answer,
    };
    let latest_only = query.filters.iter().any(|filter| {
        filter.operand == "LatestOnly" && filter.values.iter().any(|value| value.eq_ignore_ascii_case("true"))
    });
    let visible = all.iter().filter(|run| !hides(run) && (!latest_only || run.is_latest));
    // The window first: it is cheap, and a watcher's is narrow.
    let inside = visible.filter(|run| run.updated_at >= query.after && run.updated_at <= query.before);
    let values = |run: &Run| {
        vec![
            ("PipelineName", Key::Text(run.pipeline.clone())),
            ("RunStart", Key::Time(Some(run.accepted_at))),
            ("RunEnd", Key::Time(run.ended_at)),
            ("Status", Key::Text(run.status.word().to_owned())),
            ("RunGroupId", Key::Text(run.group_id.clone())),
        ]
    };
    let is_plain = query.filters.is_empty() && query.orders.is_empty();
    let found = inside.map(|run| Found {
        updated_at: run.updated_at,
        values: if is_plain { Vec::new() } else { values(run) },
        json: Value::from(run.number),
    });
    let page = query.page(found.collect());
    // Only the records of the page are written out.
    let write =
        |number: &Value| number.as_u64().and_then(|at| all.get(at as usize)).map(|run| run.json(root));
    page.answer(|number| write(number).unwrap_or(Value::Null))
}

/// Answers `queryActivityruns` for one run.
pub(super) fn activities(request: &Request, run: Option<&Run>, root: &str) -> Answer {
    let query = match Query::read(request, &ACTIVITY_OPERANDS, &ACTIVITY_ORDERS) {
        Ok(query) => query,
        Err(answer) => return *answer,
    };
    let rows = run.map_or(&[][..], |run| run.walk.rows.as_slice());
    let found = rows.iter().filter_map(|row| {
        Some(Found {
            updated_at: row.end.unwrap_or(row.start),
            values: vec![
                ("ActivityName", Key::Text(row.name.clone())),
                ("ActivityRunStart", Key::Time(Some(row.start))),
                ("ActivityRunEnd", Key::Time(row.end)),
                ("ActivityType", Key::Text(row.kind.clone())),
                ("Status", Key::Text(row.status.to_owned())),
            ],
            json: run?.activity_json(row, root),
        })
    });
    query.page(found.collect()).answer(Value::clone)
}

/// Answers `queryTriggerRuns`: the emulator has none, but the request is checked like the others.
pub(super) fn trigger_runs(request: &Request) -> Answer {
    let operands = ["TriggerName", "TriggerRunTimestamp", "Status"];
    match Query::read(request, &operands, &operands) {
        Ok(query) => query.page(Vec::new()).answer(Value::clone),
        Err(answer) => *answer,
    }
}

/// One page, and where the next begins.
struct Page {
    records: Vec<Value>,
    token: Option<String>,
}

impl Page {
    fn answer(self, write: impl Fn(&Value) -> Value) -> Answer {
        let records: Vec<Value> = self.records.iter().map(write).collect();
        let mut body = json!({ "value": records });
        // Absent on the last page, as recorded.
        if let Some(token) = self.token {
            body["continuationToken"] = token.into();
        }
        Answer::json(200, &body)
    }
}

impl Query {
    /// Checks a request's body. The error is the answer to give.
    fn read(request: &Request, operands: &[&str], orders: &[&str]) -> Result<Self, Box<Answer>> {
        let bad = |message: &str| Box::new(Answer::wrapped_error(400, "BadRequest", message));
        let body = match request.json() {
            Ok(Some(Value::Object(body))) => body,
            Ok(_) => {
                return Err(bad("The request body with lastUpdatedAfter and lastUpdatedBefore is missing."));
            }
            Err(error) => return Err(bad(&format!("The request body is not valid JSON: {error}"))),
        };
        let time = |name: &str| {
            let text = body.get(name).and_then(Value::as_str);
            let text = text.ok_or_else(|| bad(&format!("The required property '{name}' is missing.")))?;
            let time = Timestamp::parse_lenient(text).or_else(|| far_away(text));
            time.ok_or_else(|| bad(&format!("'{text}' is not a valid value for '{name}'.")))
        };
        let (after, before) = (time("lastUpdatedAfter")?, time("lastUpdatedBefore")?);
        let mut filters = Vec::new();
        for raw in list(&body, "filters") {
            filters.push(Filter::read(raw, operands).map_err(|message| bad(&message))?);
        }
        let mut sorted = Vec::new();
        for raw in list(&body, "orderBy") {
            sorted.push(order(raw, orders).map_err(|message| bad(&message))?);
        }
        let mark = digest(
            format!("{:?}{:?}{:?}", body.get("filters"), body.get("orderBy"), request.path).as_bytes(),
        );
        let token = body.get("continuationToken").and_then(Value::as_str).filter(|token| !token.is_empty());
        let skip = match token {
            None => 0,
            Some(token) => skip_of(token, mark).ok_or_else(|| {
                bad("The continuation token is not valid, or was given out for another query.")
            })?,
        };
        Ok(Self { after, before, filters, orders: sorted, skip, mark })
    }

    fn page(&self, mut found: Vec<Found>) -> Page {
        found.retain(|record| {
            let inside = record.updated_at >= self.after && record.updated_at <= self.before;
            inside && self.filters.iter().all(|filter| filter.takes(record))
        });
        // Records stand oldest first; a stable sort keeps that among equals.
        for (name, is_descending) in self.orders.iter().rev() {
            found.sort_by(|a, b| {
                let order = a.value(name).cmp(&b.value(name));
                if *is_descending { order.reverse() } else { order }
            });
        }
        let next = self.skip.saturating_add(PAGE);
        let token = (next < found.len()).then(|| token_of(next, self.mark));
        let records = found.into_iter().skip(self.skip).take(PAGE).map(|record| record.json).collect();
        Page { records, token }
    }
}

impl Filter {
    fn read(raw: &Value, operands: &[&str]) -> Result<Self, String> {
        let text = |name: &str| raw.get(name).and_then(Value::as_str).unwrap_or_default();
        let Some(operand) = operands.iter().find(|known| known.eq_ignore_ascii_case(text("operand"))) else {
            return Err(format!("Filter operand '{}' is not supported.", text("operand")));
        };
        let is_negated = match text("operator").to_ascii_lowercase().as_str() {
            "equals" | "in" => false,
            "notequals" | "notin" => true,
            _ => return Err(format!("Filter operator '{}' is not supported.", text("operator"))),
        };
        let Some(values) = raw.get("values").and_then(Value::as_array) else {
            return Err(format!("The filter on '{operand}' has no values."));
        };
        let values: Option<Vec<String>> =
            values.iter().map(|value| value.as_str().map(str::to_owned)).collect();
        let Some(values) = values.filter(|values| !values.is_empty()) else {
            return Err(format!("The values of the filter on '{operand}' are not texts."));
        };
        if *operand == "RunGroupId" && values.len() > 1 {
            // The service's own words.
            return Err(
                "Filter operand 'RunGroupId' does not support and array of values. Make sure to provide \
                        only one."
                    .to_owned(),
            );
        }
        Ok(Self { operand: (*operand).to_owned(), is_negated, values })
    }

    fn takes(&self, record: &Found) -> bool {
        if self.operand == "LatestOnly" {
            return true;
        }
        let is_in = self.values.iter().any(|wanted| match record.value(&self.operand) {
            Some(Key::Text(text)) => text.eq_ignore_ascii_case(wanted),
            Some(Key::Time(time)) => time.is_some() && *time == Timestamp::parse_lenient(wanted),
            None => false,
        });
        is_in != self.is_negated
    }
}

impl Found {
    fn value(&self, name: &str) -> Option<&Key> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, key)| key)
    }
}

fn order(raw: &Value, orders: &[&str]) -> Result<(String, bool), String> {
    let text = |name: &str| raw.get(name).and_then(Value::as_str).unwrap_or_default();
    let Some(name) = orders.iter().find(|known| known.eq_ignore_ascii_case(text("orderBy"))) else {
        return Err(format!("It is not possible to order by '{}'.", text("orderBy")));
    };
    match text("order").to_ascii_uppercase().as_str() {
        "ASC" => Ok(((*name).to_owned(), false)),
        "DESC" => Ok(((*name).to_owned(), true)),
        _ => Err(format!("The order '{}' is neither ASC nor DESC.", text("order"))),
    }
}

fn list<'a>(body: &'a Map<String, Value>, name: &str) -> &'a [Value] {
    body.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Reads the far end of what the service accepts, which no clock type holds.
fn far_away(text: &str) -> Option<Timestamp> {
    text.starts_with("9999-12-31").then(|| Timestamp::from_epoch_ms(i64::MAX))
}

fn token_of(skip: usize, mark: u64) -> String {
    base64url::encode(format!("{skip}:{mark:x}").as_bytes())
}

fn skip_of(token: &str, mark: u64) -> Option<usize> {
    let text = String::from_utf8(base64url::decode(token)?).ok()?;
    let (skip, made_for) = text.split_once(':')?;
    if made_for != format!("{mark:x}") {
        return None;
    }
    skip.parse().ok()
}
