//! `synflow explain [CODE...]`: what a code means and what to do about it.

use serde_json::{Value, json};

use crate::cli::args::Explain;
use crate::cli::failure::{Exit, Failure};
use crate::cli::put_value;
use crate::plan::{Code, nearest};

/// Explains codes at length; without one, lists them all. Fails with exit 2 if there is no such code.
pub(super) fn run(args: &Explain) -> Result<(), Failure> {
    let wanted: Vec<Code> = args.codes.iter().map(|text| find(text)).collect::<Result<_, _>>()?;
    let codes = if wanted.is_empty() { Code::ALL } else { &wanted };
    let value = json!({ "codes": codes.iter().copied().map(object).collect::<Vec<_>>() });
    put_value(&value, args.output, || if wanted.is_empty() { table() } else { at_length(&wanted) })
}

fn find(text: &str) -> Result<Code, Failure> {
    Code::from_id(text).ok_or_else(|| {
        let failure = Failure::new(Exit::Usage, format!("there is no code `{text}`"));
        match nearest(&text.to_uppercase(), Code::ALL.iter().map(|code| code.id())) {
            Some(near) => failure.hint(format!("did you mean `{near}`? `synflow explain` lists them all")),
            None => failure.hint("`synflow explain` lists them all; a code looks like `E0201`"),
        }
    })
}

fn at_length(codes: &[Code]) -> String {
    let texts: Vec<&str> = codes.iter().map(|code| code.explanation().text).collect();
    texts.join("\n")
}

fn table() -> String {
    let rows = Code::ALL.iter().map(|code| format!("{}  {}\n", code.id(), code.meaning()));
    let rows: String = rows.collect();
    format!("{rows}\nE: the plan cannot run. W: it may not do what is meant. N: worth knowing.\n")
}

fn object(code: Code) -> Value {
    let explanation = code.explanation();
    json!({
        "code": code.id(),
        "severity": code.severity().word(),
        "meaning": code.meaning(),
        "cause": explanation.cause,
        "wrong": explanation.wrong,
        "right": explanation.right,
        "text": explanation.text,
    })
}
