//! docs/looking.md is true: its commands run, and print what it shows.

use std::collections::BTreeSet;

use crate::masks::masked_words;
use crate::space::{TestSpace, root};

/// Returns the commands of the page in order, each with the output that is shown below its block, if one is.
fn shown(text: &str) -> Vec<(String, Option<String>)> {
    let mut shown = Vec::new();
    for block in text.split("```sh\n").skip(1) {
        let (commands, rest) = block.split_once("```").unwrap();
        shown.extend(commands.lines().map(|line| (line.to_owned(), None)));
        let below = rest.trim_start().strip_prefix("```text\n").and_then(|text| text.split("```").next());
        shown.last_mut().unwrap().1 = below.map(str::to_owned);
    }
    shown
}

#[test]
fn its_commands_run_and_print_what_it_shows() {
    let page = std::fs::read_to_string(root().join("docs/looking.md")).unwrap();
    let space = TestSpace::new();
    let commands = shown(&page);
    assert!(commands.len() >= 8, "{commands:?}");
    let mut verbs = BTreeSet::new();
    for (command, wanted) in commands {
        let words = command.strip_prefix("synflow ").unwrap();
        let verb = words.split(' ').next().unwrap().to_owned();
        let said = space.run(words);
        // The flow that is looked at has failed, and so does whoever follows it to its end.
        let code = i32::from(["apply", "watch"].contains(&verb.as_str()));
        assert_eq!(said.code, code, "{command}: {}", said.stderr);
        verbs.insert(verb);
        let Some(wanted) = wanted else { continue };
        let said = format!("{}{}", said.stdout, said.stderr);
        let got: Vec<String> = said.lines().map(masked_words).collect();
        let want: Vec<String> = wanted.lines().map(masked_words).collect();
        assert_eq!(got.len(), want.len(), "{command}:\n{said}");
        for (got, want) in got.iter().zip(&want) {
            // The page leaves out the end of what is long.
            let fits = want.strip_suffix('…').map_or(got == want, |start| got.starts_with(start.trim_end()));
            assert!(fits, "{command} prints `{got}`, not `{want}`:\n{said}");
        }
    }
    let all = ["apply", "flows", "logs", "status", "watch", "why"].map(str::to_owned);
    assert_eq!(verbs, BTreeSet::from(all));
}
