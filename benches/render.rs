//! The cost of showing a flow: one picture on a terminal while runs go on, and the report at its end.
//!
//! ```sh
//! cargo bench --bench render
//! ```

mod made;

use std::io;
use std::sync::Arc;

use divan::Bencher;
use divan::counter::BytesCount;
use synflow::flow::{Flow, Recorded};
use synflow::plan::StepIndex;
use synflow::report::page::html_page;
use synflow::report::story::{self, Known, Story};
use synflow::report::{Bars, Expected, Ground, Look, Report, Terminal};
use synflow::time::Delay;

use made::{DAWN, flow, graph, layered, life, start, wide};

fn main() {
    divan::main();
}

/// One tick of the picture on a terminal of 50 lines while so many runs go on.
#[divan::bench(args = [10, 100, 1_000])]
fn picture(bencher: Bencher, running: usize) {
    let plan = Arc::new(wide(2 * running, running));
    let mut flow = flow(&plan, &graph(&plan));
    for step in 0..running {
        start(&mut flow, DAWN, StepIndex(step));
    }
    let terminal = Terminal::new(io::sink(), || Some((50, 120)), || Ground::Front);
    let mut bars = Bars::new(terminal, Look::default(), Expected::default());
    let mut now = DAWN;
    bencher.bench_local(|| {
        now = now + Delay::from_ms(1_000);
        bars.tick(now, &flow);
    });
}

/// Returns a flow that has ended, its events, and its story.
fn ended(steps: usize) -> (Flow, Story) {
    let plan = Arc::new(layered(steps, 50));
    let mut flow = flow(&plan, &graph(&plan));
    let events = (0..steps).flat_map(life).zip(1_u64..);
    let events: Vec<Recorded> =
        events.map(|(event, seq)| Recorded { seq, at: DAWN + Delay::from_ms(seq * 100), event }).collect();
    for event in &events {
        flow.apply(event).expect("the events follow each other");
    }
    let story = story::tell(&flow, &events, &Known::default(), DAWN + Delay::from_secs(3_600));
    (flow, story)
}

/// The report as one HTML file.
#[divan::bench(args = [100, 2_000], sample_count = 10)]
fn page(bencher: Bencher, steps: usize) {
    let (flow, story) = ended(steps);
    let now = DAWN + Delay::from_secs(3_600);
    let size = html_page(&flow, &story, now).len();
    bencher.counter(BytesCount::new(size)).bench_local(|| html_page(&flow, &story, now));
}
