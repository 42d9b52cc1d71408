//! Files with values: the one of `--inputs`, and those that inputs name with `file`.

use crate::plan::GivenFile;
use crate::plan::code::Code;
use crate::plan::diagnostic::{Diagnostic, Span};
use crate::plan::reader::Reader;
use crate::plan::source::{self, Entry, Node, Source, Yaml};

/// Returns the files that the inputs of a plan's text name; none if it is no plan.
pub fn wanted_files(bytes: &[u8]) -> Vec<String> {
    // Most plans name none, and reading a large one takes its time.
    if !may_have_key(&String::from_utf8_lossy(bytes), "file") {
        return Vec::new();
    }
    let Ok(Source { text, root, .. }) = source::read(bytes) else { return Vec::new() };
    let find = |node: &Node, name: &str| {
        let is_it = |entry: &&Entry| entry.key.key_text(text) == Some(name);
        entries(node).iter().find(is_it).map(|entry| entry.value.clone())
    };
    let inputs = find(&root, "inputs");
    let inputs = inputs.iter().flat_map(entries);
    inputs.filter_map(|input| find(&input.value, "file")?.key_text(text).map(str::to_owned)).collect()
}

/// Returns the names to which a file of `--inputs` gives values; none if it is no map.
pub fn names_given(bytes: &[u8]) -> Vec<String> {
    let Ok(Source { text, root, .. }) = source::read(bytes) else { return Vec::new() };
    entries(&root).iter().filter_map(|entry| entry.key.key_text(text).map(str::to_owned)).collect()
}

/// Says whether a key may stand somewhere in a text.
fn may_have_key(text: &str, key: &str) -> bool {
    text.match_indices(key).any(|(at, _)| {
        let rest = text[at + key.len()..].trim_start_matches(['"', '\'']);
        rest.trim_start().starts_with(':')
    })
}

fn entries(node: &Node) -> &[Entry] {
    match &node.value {
        Yaml::Map(entries) => entries,
        _ => &[],
    }
}

/// The file of `--inputs`: a map from names to values.
pub(super) struct Values<'g> {
    name: &'g str,
    pub(super) text: &'g str,
    root: Node,
}

impl<'g> Values<'g> {
    /// Reads the file; reports if it is no such map. `may_show` is false where its text may hold a secret.
    pub(super) fn read(reader: &mut Reader<'_>, file: &'g GivenFile, may_show: bool) -> Option<Self> {
        const HELP: &str = "write a map from the names of inputs to their values: `day: 2024-05-01`";
        let source = match source::read(&file.bytes) {
            Ok(source) => source,
            Err(problems) => {
                for problem in problems {
                    let help = problem.help.iter().filter(|_| may_show).cloned();
                    let mut finding = Diagnostic::whole(problem.code, at(&file.name, &problem));
                    finding.help = help.chain([HELP.to_owned()]).collect();
                    reader.report(finding);
                }
                return None;
            }
        };
        for problem in source.findings.iter().filter(|problem| problem.is_error()) {
            let mut finding = Diagnostic::whole(problem.code, at(&file.name, problem));
            finding.help.clone_from(&problem.help);
            reader.report(finding);
        }
        let values = Self { name: &file.name, text: source.text, root: source.root };
        if !matches!(values.root.value, Yaml::Map(_) | Yaml::Broken) {
            let place = values.place(values.root.span());
            let message =
                format!("{place}: the file of `--inputs` must hold a map, not {}", values.root.kind());
            reader.report(Diagnostic::whole(Code::WrongType, message).help(HELP));
        }
        Some(values)
    }

    /// Returns the names in the file with their values.
    pub(super) fn entries(&self) -> &[Entry] {
        entries(&self.root)
    }

    /// Returns the value of a name.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        let named = self.entries().iter().find(|entry| entry.key.key_text(self.text) == Some(name));
        named.map(|entry| &entry.value)
    }

    /// Writes a place in the file.
    pub(super) fn place(&self, span: Span) -> String {
        place(self.name, span)
    }
}

/// Writes a place in a file: `FILE:LINE:COLUMN`.
pub(super) fn place(name: &str, span: Span) -> String {
    format!("{name}:{}:{}", span.place.line, span.place.column)
}

/// Returns a problem of another file as a message of the plan's.
pub(super) fn at(name: &str, problem: &Diagnostic) -> String {
    match problem.span {
        Some(span) => format!("{}: {}", place(name, span), problem.message),
        None => format!("{name}: {}", problem.message),
    }
}

/// Says whether a path leads out of the folder in which it begins.
pub(super) fn leads_out(path: &str) -> bool {
    let mut depth = 0_usize;
    for part in path.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            _ => depth += 1,
        }
    }
    is_absolute(path)
}

fn is_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    path.starts_with(['/', '\\']) || matches!(bytes, [drive, b':', ..] if drive.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::{leads_out, wanted_files};

    #[test]
    fn finds_the_files_of_a_plan() {
        let check = |text: &str, want: &[&str]| assert_eq!(wanted_files(text.as_bytes()), want, "{text}");
        check(
            "inputs: { a: { file: a.yaml }, b: { default: 1 }, c: { file: ../c.json } }",
            &["a.yaml", "../c.json"],
        );
        check("inputs: { a: { file: [a] }, b: , c: 3 }", &[]);
        check("{\"inputs\": {\"a\": {\"file\" : \"a.json\"}}}", &["a.json"]);
        check("inputs:\n  a:\n    'file': a.json\n", &["a.json"]);
        check("inputs: { a: { default: file } }", &[]);
        check("inputs: [a]", &[]);
        check("steps: {}", &[]);
        check("[", &[]);
        check("", &[]);
    }

    #[test]
    fn knows_what_is_elsewhere() {
        for inside in ["a.yaml", "./a.yaml", "in/a.yaml", "in/../a.yaml", "..a/b", "in\\a.yaml"] {
            assert!(!leads_out(inside), "{inside}");
        }
        for outside in
            ["../a.yaml", "in/../../a.yaml", "/etc/a.yaml", "C:\\a.yaml", "c:a.yaml", "..", "\\\\host\\a"]
        {
            assert!(leads_out(outside), "{outside}");
        }
    }
}
