//! The XML that `JUnit` made common and CI systems read, as Jenkins' schema has it.

use std::fmt::Write;

use crate::report::text::{one_line, paragraphs, xml};
use crate::time::{Delay, Timestamp};

/// Cases that belong together.
#[derive(Clone, Debug, Default)]
pub struct Suite {
    /// What they are cases of.
    pub name: String,
    /// The file that they stand in; empty for none.
    pub file: String,
    /// When the first began.
    pub began: Option<Timestamp>,
    /// How long all of them took.
    pub took: Option<Delay>,
    /// Facts about all of them.
    pub properties: Vec<(String, String)>,
    /// The cases.
    pub cases: Vec<Case>,
}

/// A case.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its name.
    pub name: String,
    /// What it is a case of.
    pub class: String,
    /// How long it took.
    pub took: Option<Delay>,
    /// How it ended.
    pub verdict: Verdict,
    /// What else there is to say of it; empty for nothing.
    pub output: String,
}

/// How a case ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Well.
    Passed,
    /// It did not run.
    Skipped {
        /// Why.
        why: String,
    },
    /// Not well.
    Failed {
        /// A word for how.
        kind: String,
        /// What went wrong, in one line.
        message: String,
        /// The same at length.
        text: String,
    },
}

/// Returns the suite as XML.
pub fn junit(suite: &Suite) -> String {
    let cases = suite.cases.iter();
    let failed = cases.clone().filter(|it| matches!(it.verdict, Verdict::Failed { .. })).count();
    let skipped = cases.clone().filter(|it| matches!(it.verdict, Verdict::Skipped { .. })).count();
    let counts = format!("tests=\"{}\" failures=\"{failed}\" errors=\"0\"", suite.cases.len());
    let time = suite.took.map(|took| format!(" time=\"{}\"", seconds(took))).unwrap_or_default();
    let file =
        if suite.file.is_empty() { String::new() } else { format!(" file=\"{}\"", attribute(&suite.file)) };
    // The schema's time of day has neither fractions nor a zone; it is UTC.
    let began = suite.began.map(|at| format!(" timestamp=\"{}\"", &at.to_string()[..19])).unwrap_or_default();
    let name = attribute(&suite.name);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites {counts}{time}>\n  <testsuite name=\"{name}\" {counts} \
         skipped=\"{skipped}\"{time}{began}{file}>\n"
    );
    if !suite.properties.is_empty() {
        out.push_str("    <properties>\n");
        for (name, value) in &suite.properties {
            let (name, value) = (attribute(name), attribute(value));
            let _ = writeln!(out, "      <property name=\"{name}\" value=\"{value}\"/>");
        }
        out.push_str("    </properties>\n");
    }
    suite.cases.iter().for_each(|case| write_case(&mut out, case));
    out.push_str("  </testsuite>\n</testsuites>\n");
    out
}

fn write_case(out: &mut String, case: &Case) {
    let time = case.took.map(|took| format!(" time=\"{}\"", seconds(took))).unwrap_or_default();
    let (name, class) = (attribute(&case.name), attribute(&case.class));
    let head = format!("    <testcase name=\"{name}\" classname=\"{class}\"{time}");
    let mut inside = match &case.verdict {
        Verdict::Passed => String::new(),
        Verdict::Skipped { why } => format!("      <skipped message=\"{}\"/>\n", attribute(why)),
        Verdict::Failed { kind, message, text } => {
            let (kind, message) = (attribute(kind), attribute(message));
            format!("      <failure type=\"{kind}\" message=\"{message}\">{}</failure>\n", content(text))
        }
    };
    if !case.output.is_empty() {
        let _ = writeln!(inside, "      <system-out>{}</system-out>", content(&case.output));
    }
    // Writing to a text cannot fail.
    let _ = if inside.is_empty() {
        writeln!(out, "{head}/>")
    } else {
        writeln!(out, "{head}>\n{inside}    </testcase>")
    };
}

/// Returns a text as an attribute holds it: on one line.
fn attribute(text: &str) -> String {
    xml(&one_line(text))
}

/// Returns a text as an element holds it, in its own lines.
fn content(text: &str) -> String {
    xml(&paragraphs(text).join("\n"))
}

/// Returns a length of time in seconds.
fn seconds(took: Delay) -> String {
    format!("{}.{:03}", took.as_ms() / 1000, took.as_ms() % 1000)
}

#[cfg(test)]
mod tests {
    use super::{Case, Suite, Verdict, junit};
    use crate::time::Delay;

    #[test]
    fn writes_what_ci_reads_and_escapes_what_others_wrote() {
        let case = |name: &str, verdict| Case {
            name: name.to_owned(),
            class: "nightly & co".to_owned(),
            took: Some(Delay::from_ms(61_500)),
            verdict,
            output: String::new(),
        };
        let failed = Verdict::Failed {
            kind: "failed".to_owned(),
            message: "2200: no \"table\"\n]]>".to_owned(),
            text: "2200: no table\n\tin \u{1b}[31mdbo\u{7}\u{202e}".to_owned(),
        };
        let suite = Suite {
            name: "nightly <sales>".to_owned(),
            file: "nightly.yaml".to_owned(),
            began: "2026-11-24T23:50:00Z".parse().ok(),
            took: Some(Delay::from_secs(4_000)),
            properties: vec![("flow".to_owned(), "7f3a9c".to_owned())],
            cases: vec![
                case("load", Verdict::Passed),
                case("curate", failed),
                Case {
                    took: None,
                    ..case("publish", Verdict::Skipped { why: "`curate` ended failed".to_owned() })
                },
            ],
        };
        insta::assert_snapshot!(junit(&suite), @r##"
        <?xml version="1.0" encoding="UTF-8"?>
        <testsuites tests="3" failures="1" errors="0" time="4000.000">
          <testsuite name="nightly &lt;sales&gt;" tests="3" failures="1" errors="0" skipped="1" time="4000.000" timestamp="2026-11-24T23:50:00" file="nightly.yaml">
            <properties>
              <property name="flow" value="7f3a9c"/>
            </properties>
            <testcase name="load" classname="nightly &amp; co" time="61.500"/>
            <testcase name="curate" classname="nightly &amp; co" time="61.500">
              <failure type="failed" message="2200: no &quot;table&quot; ]]&gt;">2200: no table
            in ␛[31mdbo␇�</failure>
            </testcase>
            <testcase name="publish" classname="nightly &amp; co">
              <skipped message="`curate` ended failed"/>
            </testcase>
          </testsuite>
        </testsuites>
        "##);
    }
}
