//! The expression of an output: which value of an ended run it is, and how to write it right.
//!
//! Unlike other templates it is never rendered: it becomes an [`OutputSource`], which reads the run itself.

use handlebars::Path;
use handlebars::Template;
use handlebars::template::{HelperTemplate, Parameter};

use super::names::Refusal;
use super::parse::{Problem, as_parameter, lone, parts, raw};
use super::place::inside;
use super::unreadable::{too_deep, unreadable};
use crate::plan::OutputSource;
use crate::plan::code::Code;
use crate::plan::diagnostic::Diagnostic;
use crate::plan::reader::Reader;
use crate::plan::source::{Node, Yaml};
use crate::plan::words;

/// What an output may be, for people.
const FORMS: &str = "write `\"{{activities.NAME.output.KEY}}\"` or `\"{{return_value.KEY}}\"`";
/// The first words of names that stand here.
const ROOTS: [&str; 2] = ["activities", "return_value"];
/// Words for them elsewhere.
const OTHER_WORDS: [(&str, &str); 6] = [
    ("activity", "activities"),
    ("output", "activities.NAME.output"),
    ("outputs", "activities.NAME.output"),
    ("pipelineReturnValue", "return_value"),
    ("return", "return_value"),
    ("returnValue", "return_value"),
];
/// The first words of names that stand in other places of a plan.
const ROOTS_ELSEWHERE: [&str; 8] =
    ["inputs", "steps", "plan", "flow", "env", "environment", "each", "secret"];

/// Reads the expression of an output; nothing if it is none, which is then reported. `what` names it in a message.
pub(in crate::plan) fn build_output(
    reader: &mut Reader<'_>,
    node: &Node,
    what: &str,
) -> Option<OutputSource> {
    let Yaml::Text(text) = &node.value else {
        return reader.wrong_type(node, what, "a template", FORMS);
    };
    match source(text, what) {
        Ok(source) => Some(source),
        Err(Problem { at, bytes, refusal }) => {
            let span = inside(node, reader.text, text, at, bytes);
            let mut finding = Diagnostic::at(refusal.code, span, refusal.message).label(refusal.label);
            finding.help = refusal.help;
            reader.report(finding);
            None
        }
    }
}

/// Reads a text as the source of an output.
fn source(text: &str, what: &str) -> Result<OutputSource, Problem> {
    let whole = |refusal| Problem { at: 0, bytes: text.len(), refusal };
    if text.starts_with('@') {
        let message = format!("{what} is written in Synapse's own language");
        let refusal = bad(message, &[text]);
        return Err(whole(if mended(text).is_some() {
            refusal
        } else {
            refusal.help("what must be computed, the pipeline computes and returns")
        }));
    }
    if !text.contains("{{") {
        return Err(whole(bad(format!("{what} is a text, not a template"), &[text])));
    }
    if let Some(problem) = too_deep(text) {
        return Err(problem);
    }
    let inner = text.trim().trim_start_matches('{').trim_end_matches('}').trim();
    let template = Template::compile(text).map_err(|error| match mended(inner) {
        Some(_) => whole(
            bad(format!("{what} cannot be read"), &[inner])
                .label("names with blanks and positions of lists stand in brackets, behind a dot"),
        ),
        None => unreadable(text, &error),
    })?;
    let Some(inline) = lone(&template) else {
        let message = format!("{what} is more than one lone template");
        let help = "an output is a value of the run as it is; texts are put together where it is used";
        return Err(whole(Refusal::new(Code::BadOutput, message).help(help).help(FORMS)));
    };
    let source = value(&as_parameter(inline)).map_err(|(piece, refusal)| {
        let at = text.find(&piece).unwrap_or_default();
        Problem { at, bytes: if text.contains(&piece) { piece.len() } else { text.len() }, refusal }
    })?;
    if let OutputSource::Literal(_) = source {
        let message = format!("{what} is the same for every run");
        return Err(whole(Refusal::new(Code::BadOutput, message).help(FORMS)));
    }
    Ok(source)
}

/// Reads a name, a value or a call of `default`; fails with the piece of the text that is wrong.
fn value(parameter: &Parameter) -> Result<OutputSource, (String, Refusal)> {
    match parameter {
        Parameter::Literal(value) => Ok(OutputSource::Literal(value.clone())),
        Parameter::Path(path @ Path::Relative((segments, written))) if !written.contains("../") => {
            named(&parts(segments)).map_err(|refusal| (raw(path).to_owned(), refusal))
        }
        Parameter::Path(path) => {
            let name = raw(path);
            let refusal = Refusal::new(Code::BadOutput, format!("`{name}` has no meaning here")).help(FORMS);
            Err((name.to_owned(), refusal))
        }
        Parameter::Subexpression(call) => match call.element.as_ref() {
            handlebars::template::TemplateElement::Expression(call) => called(call),
            _ => Err((String::new(), Refusal::new(Code::BadOutput, "this is no value").help(FORMS))),
        },
        Parameter::Name(name) => value(&Parameter::parse(name).map_err(|_| (name.clone(), helper(name)))?),
        _ => Err((String::new(), Refusal::new(Code::BadOutput, "this is no value").help(FORMS))),
    }
}

fn called(call: &HelperTemplate) -> Result<OutputSource, (String, Refusal)> {
    if call.params.is_empty() && call.hash.is_empty() {
        return value(&call.name);
    }
    let name = match &call.name {
        Parameter::Name(name) => name.clone(),
        Parameter::Path(path) => raw(path).to_owned(),
        _ => String::new(),
    };
    if ROOTS.iter().any(|root| name.starts_with(&format!("{root}."))) {
        let rest = call.params.iter().filter_map(|parameter| match parameter {
            Parameter::Path(path) => Some(raw(path)),
            Parameter::Name(name) => Some(name.as_str()),
            _ => None,
        });
        let all = [name.as_str()].into_iter().chain(rest).collect::<Vec<_>>().join(" ");
        let message = "a name with a blank in it stands in brackets";
        return Err((name.clone(), bad(message, &[&all])));
    }
    match (name.as_str(), call.params.as_slice()) {
        ("default", [first, second]) if call.hash.is_empty() => {
            Ok(OutputSource::Default(Box::new(value(first)?), Box::new(value(second)?)))
        }
        ("default", _) => {
            let message = "`default` takes a value and what stands in for it";
            let help = "write `\"{{default activities.NAME.output.KEY 0}}\"`";
            Err((name, Refusal::new(Code::TemplateSyntax, message).help(help)))
        }
        _ => Err((name.clone(), helper(&name))),
    }
}

fn helper(name: &str) -> Refusal {
    let message = format!("the helper `{name}` cannot be used in `outputs`");
    let refusal = Refusal::new(Code::BadOutput, message);
    let refusal = match words::nearest(name, ["default"]) {
        Some(near) => refusal.label(format!("did you mean `{near}`?")),
        None => refusal,
    };
    refusal.help("there is only `default`; take the value as it is, and work on it where it is used")
}

/// Reads the parts of a name.
fn named(path: &[String]) -> Result<OutputSource, Refusal> {
    let parts: Vec<&str> = path.iter().map(String::as_str).collect();
    match parts.as_slice() {
        ["activities", name, "output", ..] => {
            Ok(OutputSource::Activity { name: (*name).to_owned(), path: path[3..].to_vec() })
        }
        ["return_value", ..] => Ok(OutputSource::ReturnValue { path: path[1..].to_vec() }),
        ["activities"] => {
            let message = "`activities` does not say which activity";
            Err(Refusal::new(Code::BadOutput, message).help("write `\"{{activities.NAME.output.KEY}}\"`"))
        }
        ["activities", name] => {
            let message = format!("`activities.{name}` does not say what of the activity is meant");
            let help = format!("write `\"{{{{{}}}}}\"`", written(&["activities", name, "output", "KEY"]));
            Err(Refusal::new(Code::BadOutput, message).help(help))
        }
        ["activities", name, other, rest @ ..] => {
            let message = format!("of the activity `{name}` there is `output`, not `{other}`");
            let is_word = words::nearest(other, ["output"]).is_some();
            let below: &[&str] = if is_word { rest } else { &parts[2..] };
            let right = written(&[&["activities", name, "output"], below].concat());
            Err(Refusal::new(Code::BadOutput, message).help(format!("write `\"{{{{{right}}}}}\"`")))
        }
        [first, ..] if ROOTS_ELSEWHERE.contains(first) => {
            let message = format!("`{first}` cannot be used here: an output comes from the step's own run");
            Err(Refusal::new(Code::NameNotHere, message).help(FORMS))
        }
        [] => Err(Refusal::new(Code::BadOutput, "`this` has no meaning here").help(FORMS)),
        [first, ..] => {
            let message = format!("of a run there is no `{first}`");
            let other = OTHER_WORDS.iter().find(|(word, _)| word == first).map(|(_, right)| *right);
            let refusal = bad(message, &[&written(&parts)]);
            Err(match other.or_else(|| words::nearest(first, ROOTS)) {
                Some(near) => refusal.label(format!("did you mean `{near}`?")),
                None => refusal,
            })
        }
    }
}

/// Returns a refusal that shows how one of these texts is written, if it can be told.
fn bad(message: impl Into<String>, texts: &[&str]) -> Refusal {
    let refusal = Refusal::new(Code::BadOutput, message);
    match texts.iter().find_map(|text| mended(text)) {
        Some(right) => refusal.help(format!("write `\"{{{{{right}}}}}\"`")),
        None => refusal.help(FORMS),
    }
}

/// Returns a name as it is written here, from what it is in Synapse's language or with its brackets forgotten:
/// `@activity('Copy Final').output.value[0].id` is `activities.[Copy Final].output.value.[0].id`.
fn mended(text: &str) -> Option<String> {
    let text = text.trim().trim_start_matches(['@', '{']).trim_end_matches('}').trim();
    let (name, rest) = if let Some(rest) = text.strip_prefix("activity(") {
        let (name, rest) = rest.split_once(')')?;
        (Some(name.trim().trim_matches(['\'', '"'])), rest)
    } else if let Some(rest) = text.strip_prefix("activities.").or_else(|| text.strip_prefix("activity.")) {
        let (name, _) = rest.split_once(".output")?;
        (Some(name.trim_matches(['[', ']', '\'', '"'])), &rest[name.len()..])
    } else {
        let root = ["return_value", "returnValue", "pipelineReturnValue"];
        (None, root.iter().find_map(|root| text.strip_prefix(root))?)
    };
    let below = keys(rest)?;
    let below: Vec<&str> = below.iter().map(String::as_str).collect();
    match (name, below.as_slice()) {
        (Some(name), ["output", ..]) if !name.is_empty() && !name.contains(['[', ']', '{', '}']) => {
            Some(written(&[&["activities", name], below.as_slice()].concat()))
        }
        (None, below) => Some(written(&[&["return_value"], below].concat())),
        _ => None,
    }
}

/// Returns the keys and positions of `.output?.value[0]['id']`.
fn keys(text: &str) -> Option<Vec<String>> {
    let mut keys = Vec::new();
    let mut rest = text.trim_start_matches(['.', '?']);
    while !rest.is_empty() {
        let (key, after) = match rest.strip_prefix('[') {
            Some(inside) => inside.split_once(']')?,
            None => rest.split_at(rest.find(['.', '?', '[']).unwrap_or(rest.len())),
        };
        let key = key.trim().trim_matches(['\'', '"']);
        if key.is_empty() || key.contains(|c: char| c.is_whitespace() || "(){}[]".contains(c)) {
            return None;
        }
        keys.push(key.to_owned());
        rest = after.trim_start_matches(['.', '?']);
    }
    Some(keys)
}

/// Writes a name, with brackets around what is no plain word.
fn written(parts: &[&str]) -> String {
    let is_plain = |part: &str| {
        let starts_well = part.starts_with(|c: char| c.is_alphabetic() || c == '_');
        starts_well && part.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
    };
    let one = |part: &&str| if is_plain(part) { (*part).to_owned() } else { format!("[{part}]") };
    parts.iter().map(one).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{mended, source};
    use crate::plan::OutputSource;

    fn activity(name: &str, path: &[&str]) -> OutputSource {
        let path = path.iter().map(|key| (*key).to_owned()).collect();
        OutputSource::Activity { name: name.to_owned(), path }
    }

    fn returned(path: &[&str]) -> OutputSource {
        OutputSource::ReturnValue { path: path.iter().map(|key| (*key).to_owned()).collect() }
    }

    fn default(first: OutputSource, second: OutputSource) -> OutputSource {
        OutputSource::Default(Box::new(first), Box::new(second))
    }

    #[test]
    fn reads_what_an_output_may_be() {
        let check = |text: &str, want: OutputSource| {
            assert_eq!(source(text, "it").map_err(|problem| problem.refusal.message), Ok(want), "{text}");
        };
        let literal = |value: Value| OutputSource::Literal(value);
        check("{{activities.Copy_Final.output.rowsCopied}}", activity("Copy_Final", &["rowsCopied"]));
        check("{{activities.Copy-Final.output}}", activity("Copy-Final", &[]));
        check("{{ activities.[Copy Final (2)].output.a.b }}", activity("Copy Final (2)", &["a", "b"]));
        check("{{{activities.数据.output.value.[0].id}}}", activity("数据", &["value", "0", "id"]));
        check("{{activities.[a.b].output.[c d].[1]}}", activity("a.b", &["c d", "1"]));
        check("{{activities.output.output.output}}", activity("output", &["output"]));
        check("{{return_value}}", returned(&[]));
        check("{{return_value.rateSet.[2]}}", returned(&["rateSet", "2"]));
        check("{{default return_value.n 0}}", default(returned(&["n"]), literal(json!(0))));
        check(
            "{{default activities.A.output.x (default return_value.y 'none')}}",
            default(activity("A", &["x"]), default(returned(&["y"]), literal(json!("none")))),
        );
    }

    #[test]
    fn knows_what_was_meant() {
        let check = |text: &str, want: Option<&str>| assert_eq!(mended(text).as_deref(), want, "{text}");
        let right = "activities.[Copy Final].output.value.[0].id";
        check("@activity('Copy Final').output.value[0].id", Some(right));
        check("@{activity(\"Copy Final\").output?.value?[0]?['id']}", Some(right));
        check("activities.Copy Final.output.value[0].id", Some(right));
        check("activity.Copy Final.output.value.[0].id", Some(right));
        check("pipelineReturnValue.rateSet", Some("return_value.rateSet"));
        check("return_value", Some("return_value"));
        check("@concat(activity('A').output.x, 1)", None);
        check("@activity('A').error.message", None);
        check("@add(1, 2)", None);
        check("@activity('').output", None);
        check("activities.A.output.x[0", None);
        check("", None);
    }
}
