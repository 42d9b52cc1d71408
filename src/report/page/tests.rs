//! What stands in pages: flows that go on, texts that would like to be markup, and graphs that are folded.

use crate::flow::Outcome;
use crate::report::page::html_page;
use crate::report::sample::{Sample, error};
use crate::report::story::{Known, tell};

fn page(sample: &Sample) -> String {
    html_page(&sample.flow, &tell(&sample.flow, &[], &Known::default(), sample.now), sample.now)
}

/// Makes a flow whose steps each wait for the one before it, `width` of them side by side.
fn many(steps: usize, width: usize) -> Sample {
    let names: Vec<(String, String)> = (0..steps)
        .map(|at| (format!("s{at}"), at.checked_sub(width).map(|it| format!("s{it}")).unwrap_or_default()))
        .collect();
    let steps: Vec<(&str, &str)> = names.iter().map(|(id, after)| (id.as_str(), after.as_str())).collect();
    Sample::new(&steps)
}

#[test]
fn a_flow_that_goes_on_says_so() {
    let mut sample = Sample::new(&[("load", ""), ("curate", "load")]);
    sample.start("load").wait(10);
    let page = page(&sample);
    assert!(page.contains("<strong>has not ended</strong></span> for <strong>10s</strong>"), "{page}");
    assert!(page.contains("<title>unfinished: nightly-sales 7f3a9c</title>"));
    assert!(page.contains("<code id=\"next\">synflow resume 7f3a9c</code>"));
    assert!(!page.contains("What went wrong"));
}

#[test]
fn the_same_error_of_several_steps_stands_once() {
    let mut sample = Sample::with(&[("a", ""), ("b", ""), ("c", ""), ("d", "")], |plan| {
        plan.steps.iter_mut().for_each(|step| step.pipeline = "pl_load".to_owned());
    });
    for (step, text) in
        [("a", "no <b>table</b>"), ("b", "no <b>table</b>"), ("c", "busy"), ("d", "no <b>table</b>")]
    {
        sample.start(step).wait(5).end(step, Outcome::Failed, Some(error("Copy", "2200", text)));
    }
    let page = page(&sample);
    let body = page.split("<script").next().unwrap_or_default();
    assert_eq!(body.matches("<article").count(), 2);
    assert_eq!(body.matches("<pre>").count(), 2);
    assert!(body.contains("and 2 more steps"), "{body}");
    assert!(body.contains("no &lt;b&gt;table&lt;/b&gt;") && !page.contains("<b>table"), "{body}");
}

#[test]
fn a_graph_too_large_is_folded_and_says_so() {
    let check = |steps: usize, boxes: usize, told: bool| {
        let page = page(&many(steps, 4));
        assert_eq!(page.matches("<svg class=\"box").count(), boxes, "{steps} steps");
        assert_eq!(page.contains("too many to draw"), told, "{steps} steps");
    };
    check(8, 8, false);
    check(60, 60, false);
    check(148, 148, false);
    check(152, 38, true);
    // 250 waves: seven in a row share a box.
    check(1_000, 36, true);
}
