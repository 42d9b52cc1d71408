//! The cost of reading a plan of 10,000 steps, beside what the YAML library takes for the same text.
//!
//! ```sh
//! cargo bench --bench checking
//! ```
//!
//! The library reads it into plain values, with no place of anything; we read, check and link it, round by round in
//! turn. What counts is the ratio of the two in one round; the median is shown, with the least and the greatest.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark prints its figures, and its input is its own"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use synflow::graph::PlanGraph;
use synflow::plan::{Given, load};

const STEPS: usize = 10_000;
const LAYER: usize = 100;
const ROUNDS: usize = 21;

/// A plan such as people write: inputs, templates, conditions, retries, edges by name.
fn text() -> String {
    let mut text = String::from(
        "version: 1\nname: wide\nworkspace: contoso-dw\ninputs:\n  day: { type: date, default: 2024-05-01 }\n  \
         region: { type: string, default: emea }\nsteps:\n",
    );
    for number in 0..STEPS {
        write!(
            text,
            "  load_{number}:\n    pipeline: pl_load_{}\n    parameters:\n      day: \"{{{{inputs.day}}}}\"\n      \
             path: \"raw/{{{{inputs.region}}}}/{number}.parquet\"\n      rows: {number}\n    retry: {{ max_attempts: 2, delay: 30s }}\n",
            number % 40,
        )
        .unwrap();
        if let Some(before) = number.checked_sub(LAYER) {
            writeln!(
                text,
                "    depends_on: [load_{before}, load_{}]",
                before / LAYER * LAYER + (before + 1) % LAYER
            )
            .unwrap();
            if number % 10 == 0 {
                writeln!(
                    text,
                    "    when: inputs.region == \"emea\" and steps.load_{before}.outcome != \"failed\""
                )
                .unwrap();
            }
        }
    }
    text
}

fn plain(text: &str) {
    let options = serde_saphyr::options! { budget: None };
    let value: serde_json::Value = serde_saphyr::from_str_with_options(text, options).unwrap();
    black_box(value);
}

fn checked(text: &str) {
    let given = Given { inputs_required: true, ..Given::default() };
    let loaded = load(text.as_bytes(), &given).unwrap_or_else(|findings| panic!("{:?}", findings.first()));
    black_box(PlanGraph::link(&loaded.plan).unwrap());
}

#[expect(clippy::disallowed_methods, reason = "a benchmark asks the clock")]
fn time(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

fn main() {
    let text = text();
    let mut rounds: Vec<(f64, Duration, Duration)> = (0..ROUNDS)
        .map(|_| {
            let (library, ours) = (time(|| plain(&text)), time(|| checked(&text)));
            (ours.as_secs_f64() / library.as_secs_f64(), library, ours)
        })
        .collect();
    rounds.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (ratio, library, ours) = rounds[ROUNDS / 2];
    println!("{STEPS} steps, {} KB, {ROUNDS} rounds", text.len() / 1024);
    println!("the YAML library, plain values: {library:.0?}; read, checked and linked: {ours:.0?}");
    println!("ratio: {ratio:.2} (least {:.2}, greatest {:.2})", rounds[0].0, rounds[ROUNDS - 1].0);
}
