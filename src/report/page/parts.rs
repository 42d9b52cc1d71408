//! The parts of the page that stand in it as plain HTML: readable in a mail, without any script.

use std::fmt::Write;

use crate::report::page::escape::{html, html_lines};
use crate::report::story::{AttemptStory, Cause, MARKS, StepStory, Story, skipped_legs};
use crate::report::text::counted;
use crate::time::Delay;

/// How many causes are told before the rest is only counted.
const CAUSES_MAX: usize = 12;

/// How many steps a list names.
const NAMES_MAX: usize = 8;

/// How many rows of the table stand open at first where a script can open more.
const ROWS_AT_FIRST: usize = 300;

/// Where steps are sought and filtered; the script fills it.
pub(super) const TOOLBAR: &str = "\
<div id=\"toolbar\" class=\"toolbar js\" role=\"search\" hidden>
<label class=\"field\"><span class=\"away\">Filter the steps</span><input id=\"filter\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\" placeholder=\"Filter steps: id, pipeline, error …\"><kbd aria-hidden=\"true\">/</kbd></label>
<div id=\"chips\" role=\"group\" aria-label=\"Outcomes\"></div>
<output id=\"shown\" aria-live=\"polite\"></output>
</div>
";

/// Where the script draws when each step ran.
pub(super) const TIMELINE: &str = "\
<section id=\"timeline\" aria-labelledby=\"timeline-title\">
<h2 id=\"timeline-title\">Timeline</h2>
<p id=\"timeline-hint\" class=\"hint\"></p>
<noscript><p class=\"hint\">The timeline and the details of each step need JavaScript: save this file and open it in a browser.</p></noscript>
<ul id=\"legend\" class=\"legend js\" hidden></ul>
<div id=\"gantt\" class=\"gantt js\" hidden></div>
</section>
";

/// Writes how the flow ended, how long it took, and what to type next.
pub(super) fn header(out: &mut String, story: &Story) {
    let flow = &story.flow;
    let word = flow.outcome.as_deref().unwrap_or("running");
    let verdict = match (&flow.outcome, flow.state.as_str()) {
        (Some(outcome), "ended") => outcome.replace('_', " "),
        (_, "needs_person") => "waits for a person".to_owned(),
        (_, "given_up") => "was given up".to_owned(),
        (_, "detached") => "is detached".to_owned(),
        _ => "has not ended".to_owned(),
    };
    // Writing to a text cannot fail.
    let _ = write!(
        out,
        "<header class=\"top {word}\">\n<p class=\"eyebrow\">synflow report · flow <code>{}</code></p>\n<h1>{}",
        html(&flow.id),
        html(&flow.plan)
    );
    for (text, class) in
        [(flow.environment.as_str(), "tag"), (if flow.emulated { "emulated" } else { "" }, "tag dashed")]
    {
        if !text.is_empty() {
            let _ = write!(out, " <span class=\"{class}\">{}</span>", html(text));
        }
    }
    let after = if flow.state == "ended" { "after" } else { "for" };
    let _ = write!(
        out,
        "</h1>\n<p class=\"verdict\"><span class=\"{word} mark\"><strong>{}</strong></span> {after} <strong>{}</strong>{}</p>\n",
        html(&verdict),
        flow.elapsed_ms.short(),
        against_forecast(story),
    );
    if let Some(deadline) = &flow.deadline {
        let class = if deadline.missed { "deadline late" } else { "deadline" };
        let _ = writeln!(out, "<p class=\"{class}\">{}</p>", html(&deadline.text));
    }
    let ended = flow.ended_at.map(|at| format!(" to {}", html(&at.spoken()))).unwrap_or_default();
    let _ = writeln!(out, "<p class=\"when\">{}{ended}</p>", html(&flow.started_at.spoken()));
    tally(out, story);
    if let Some(next) = &flow.next {
        let label = if next.starts_with("synflow status") { "look closer" } else { "go on with" };
        let _ = writeln!(
            out,
            "<p class=\"next\"><span>{label}</span> <code id=\"next\">{}</code> <button id=\"copy\" type=\"button\" class=\"js\" hidden>Copy</button></p>",
            html(next)
        );
    }
    out.push_str("</header>\n");
}

fn against_forecast(story: &Story) -> String {
    let flow = &story.flow;
    let Some(expected) = flow.expected_ms else { return String::new() };
    let (took, usual) = (flow.elapsed_ms.as_ms(), expected.as_ms());
    let by = Delay::from_ms(took.abs_diff(usual)).short();
    let compared = match flow.state.as_str() {
        "ended" if took > usual => format!(", {by} longer"),
        "ended" if took < usual => format!(", {by} less"),
        _ => String::new(),
    };
    let from = counted(flow.earlier_flows, "earlier flow");
    format!(" <span class=\"usual\">expected {} by {from}{compared}</span>", expected.short())
}

/// Writes how many steps ended how, as a bar and in words.
fn tally(out: &mut String, story: &Story) {
    let counts: Vec<(&str, usize)> =
        MARKS.iter().filter_map(|mark| Some((*mark, *story.flow.counts.get(*mark)?))).collect();
    out.push_str("<div class=\"tally\" aria-hidden=\"true\">");
    for (mark, count) in &counts {
        let _ = write!(out, "<span class=\"bar {mark}\" style=\"flex-grow:{count}\"></span>");
    }
    out.push_str("</div>\n<ul class=\"counts\">");
    for (mark, count) in &counts {
        let _ = write!(out, "<li class=\"mark {mark}\">{count} {}</li>", mark.replace('_', " "));
    }
    let _ = writeln!(out, "<li class=\"all\">{} in all</li></ul>", counted(story.steps.len(), "step"));
}

/// Writes what went wrong by itself: the same error of several steps once.
pub(super) fn causes(out: &mut String, story: &Story) {
    if story.causes.is_empty() {
        return;
    }
    let steps: std::collections::BTreeMap<&str, &StepStory> =
        story.steps.iter().map(|step| (step.id.as_str(), step)).collect();
    let mut alike: Vec<(&Cause, Vec<&str>)> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for cause in &story.causes {
        // Its text ends with the whole error.
        let told = cause.text.strip_prefix(&cause.step).unwrap_or(&cause.text);
        let pipeline = steps.get(cause.step.as_str()).map(|step| step.pipeline.as_str());
        let place = *places.entry((&cause.outcome, cause.allowed, pipeline, told)).or_insert(alike.len());
        match alike.get_mut(place) {
            Some((_, others)) => others.push(&cause.step),
            None => alike.push((cause, Vec::new())),
        }
    }
    out.push_str("<section id=\"causes\" aria-labelledby=\"causes-title\">\n<h2 id=\"causes-title\">What went wrong</h2>\n");
    for (cause, others) in alike.iter().take(CAUSES_MAX) {
        if let Some(step) = steps.get(cause.step.as_str()) {
            write_cause(out, cause, step, others);
        }
    }
    if alike.len() > CAUSES_MAX {
        let rest: usize = alike[CAUSES_MAX..].iter().map(|(_, others)| 1 + others.len()).sum();
        let _ =
            writeln!(out, "<p class=\"more\">... and {}, in the table below</p>", counted(rest, "more step"));
    }
    out.push_str("</section>\n");
}

fn write_cause(out: &mut String, cause: &Cause, step: &StepStory, others: &[&str]) {
    let word = &cause.outcome;
    let allowed = if cause.allowed { " <span class=\"tag\">allowed</span>" } else { "" };
    let also = match others {
        [] => String::new(),
        [other] => format!(
            " <span class=\"also\">and <a data-step=\"{0}\" href=\"#steps\"><bdi>{0}</bdi></a></span>",
            html(other)
        ),
        more => format!(" <span class=\"also\">and {}</span>", counted(more.len(), "more step")),
    };
    let took = step.elapsed_ms.map(|took| format!(" after {}", took.short())).unwrap_or_default();
    let tries = step.attempts.len();
    let tries = if tries > 1 { format!(", {tries} attempts") } else { String::new() };
    let _ = write!(
        out,
        "<article class=\"cause {word}\">\n<h3><span class=\"mark {word}\">{}</span> <a data-step=\"{id}\" href=\"#steps\"><bdi>{id}</bdi></a>{also}{allowed} \
         <span class=\"quiet\">{took}{tries}</span></h3>\n",
        word.replace('_', " "),
        id = html(&cause.step),
    );
    // The last attempt that has an error: its activity, then the service's own words.
    let told = step.attempts.last().and_then(|attempt| attempt.error.as_ref());
    if let Some(error) = told {
        let mut way: Vec<&str> = vec![&cause.step];
        way.extend(error.via.iter().map(String::as_str));
        way.extend(error.activity.as_deref());
        let way: Vec<String> = way.iter().map(|it| format!("<bdi>{}</bdi>", html(it))).collect();
        if way.len() > 1 {
            let _ =
                writeln!(out, "<p class=\"way\">{}</p>", way.join(" <span aria-hidden=\"true\">›</span> "));
        }
        let code =
            if error.code.is_empty() { String::new() } else { format!("<b>{}</b> ", html(&error.code)) };
        let _ = writeln!(out, "<pre>{code}{}</pre>", html_lines(&error.message));
    } else {
        let why = step.why.as_deref().unwrap_or(&cause.text);
        let _ = writeln!(out, "<pre>{}</pre>", html_lines(why));
    }
    let _ = write!(out, "<p class=\"quiet\">pipeline <code>{}</code>", html(&step.pipeline));
    if let Some(attempt) = step.attempts.last() {
        out.push_str(&run(attempt));
    }
    out.push_str("</p>\n");
    if cause.stopped_count > 0 {
        let verb = if word == "unknown" { "holds up" } else { "blocked" };
        let named: Vec<String> = cause
            .stopped
            .iter()
            .take(NAMES_MAX)
            .map(|id| format!("<a data-step=\"{0}\" href=\"#steps\"><bdi>{0}</bdi></a>", html(id)))
            .collect();
        let more = cause.stopped_count.saturating_sub(named.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let _ = writeln!(out, "<p class=\"stopped\">{verb} {}{more}</p>", named.join(", "));
    }
    out.push_str("</article>\n");
}

/// Returns the run of an attempt, with the way to it.
fn run(attempt: &AttemptStory) -> String {
    let Some(id) = &attempt.run_id else { return " · no run".to_owned() };
    let link = attempt
        .studio
        .as_ref()
        .map(|link| format!(" · <a rel=\"noopener noreferrer\" href=\"{}\">open in Studio</a>", html(link)));
    format!(" · run <code class=\"run\">{}</code>{}", html(id), link.unwrap_or_default())
}

/// Writes the chain that decided how long the flow took.
pub(super) fn path(out: &mut String, story: &Story) {
    let legs = &story.critical_path;
    if legs.len() < 2 {
        return;
    }
    out.push_str(
        "<section id=\"path\" aria-labelledby=\"path-title\">\n<h2 id=\"path-title\">What decided the time</h2>\n<ol class=\"path\">\n",
    );
    let skipped = skipped_legs(legs.len());
    for (at, leg) in legs.iter().enumerate() {
        if skipped.contains(&at) {
            if at == skipped.start {
                let _ = writeln!(out, "<li class=\"quiet\">{}</li>", counted(skipped.len(), "more step"));
            }
            continue;
        }
        let waited = if leg.waited_ms.as_ms() < 1000 {
            String::new()
        } else {
            format!("<span class=\"waited\">waited {}</span> ", leg.waited_ms.short())
        };
        let _ = writeln!(
            out,
            "<li>{waited}<a data-step=\"{0}\" href=\"#steps\"><bdi>{0}</bdi></a> <span class=\"took\">{1}</span></li>",
            html(&leg.step),
            leg.took_ms.short()
        );
    }
    out.push_str("</ol>\n</section>\n");
}

/// Writes the table.
pub(super) fn steps(out: &mut String, story: &Story) {
    out.push_str(
        "<section id=\"steps\" aria-labelledby=\"steps-title\">\n<h2 id=\"steps-title\">Steps</h2>\n<table id=\"table\">\n\
         <thead><tr><th scope=\"col\" class=\"c-outcome\" data-key=\"outcome\">Outcome</th><th scope=\"col\" class=\"c-step\" data-key=\"id\">Step</th>\
         <th scope=\"col\" class=\"c-pipeline\" data-key=\"pipeline\">Pipeline</th><th scope=\"col\" class=\"c-start num\" data-key=\"start\">Started</th>\
         <th scope=\"col\" class=\"c-took num\" data-key=\"took\">Took</th><th scope=\"col\" class=\"c-tries num\" data-key=\"tries\">Tries</th>\
         <th scope=\"col\" class=\"c-why\" data-key=\"why\">Why</th></tr></thead>\n<tbody>\n",
    );
    let begun = story.flow.started_at;
    for (at, step) in story.steps.iter().enumerate() {
        let mark = step.mark();
        let is_bad = matches!(mark, "failed" | "timed_out" | "cancelled");
        let allowed = if is_bad && step.allow_failure { " <span class=\"quiet\">allowed</span>" } else { "" };
        let started = step.started_at.map(|at| format!("+{}", at.since(begun).short())).unwrap_or_default();
        let took = step.elapsed_ms.map(Delay::short).unwrap_or_default();
        let tries = if step.attempts.is_empty() { String::new() } else { step.attempts.len().to_string() };
        let critical = if step.critical { " critical" } else { "" };
        let far = if at < ROWS_AT_FIRST { "" } else { " far" };
        let _ = writeln!(
            out,
            "<tr data-i=\"{at}\" class=\"{mark}{critical}{far}\"><td class=\"c-outcome mark {mark}\">{}{allowed}</td><td class=\"c-step\">{}</td>\
             <td class=\"c-pipeline\">{}</td><td class=\"c-start num\">{started}</td><td class=\"c-took num\">{took}</td>\
             <td class=\"c-tries num\">{tries}</td><td class=\"c-why\">{}</td></tr>",
            mark.replace('_', " "),
            html(&step.id),
            html(&step.pipeline),
            html(step.why.as_deref().unwrap_or_default()),
        );
    }
    out.push_str("</tbody>\n</table>\n<p id=\"rest\" hidden><button type=\"button\"></button></p>\n<p id=\"none\" class=\"hint\" hidden>No step fits the filter. <kbd>Esc</kbd> shows all.</p>\n</section>\n");
}

/// Writes what the flow was made from and what happened to it.
pub(super) fn facts(out: &mut String, story: &Story) {
    let flow = &story.flow;
    out.push_str("<section id=\"about\" aria-labelledby=\"about-title\">\n<h2 id=\"about-title\">About this flow</h2>\n<dl>\n");
    let mut row = |name: &str, value: String| {
        let _ = writeln!(out, "<dt>{name}</dt><dd>{value}</dd>");
    };
    let code = |text: &str| format!("<code>{}</code>", html(text));
    if let Some(description) = &flow.description {
        row("plan", html(description));
    }
    row(
        "plan file",
        format!("{} <span class=\"quiet\">sha256 {}</span>", code(&flow.plan_file), code(&flow.plan_sha256)),
    );
    if let Some(commit) = &flow.commit {
        let changed = if commit.changed {
            " <span class=\"quiet\">with changes to the plan file that were not committed</span>"
        } else {
            ""
        };
        row("git commit", format!("{}{changed}", code(&commit.id)));
    }
    if !flow.environment.is_empty() {
        row("environment", code(&flow.environment));
    }
    if !flow.run_key.is_empty() {
        row("run key", code(&flow.run_key));
    }
    for (name, words) in [("--select", &flow.selected), ("--exclude", &flow.excluded)] {
        if !words.is_empty() {
            row(name, words.iter().map(|word| code(word)).collect::<Vec<_>>().join(" "));
        }
    }
    for it in &flow.workspaces {
        row(
            "workspace",
            format!(
                "{} {} <span class=\"quiet\">{}</span>",
                code(&it.key),
                html(&it.name),
                html(&it.endpoint)
            ),
        );
    }
    row("max parallel", flow.max_parallel.to_string());
    for (name, value) in &flow.inputs {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        row("input", format!("{} = {}", code(name), code(&text)));
    }
    if let Some(code) = flow.exit_code {
        row("exit code", code.to_string());
    }
    for event in &flow.events {
        row(&html(&event.at.spoken()), html(&event.text));
    }
    out.push_str("</dl>\n</section>\n");
}
