//! Keys that are not indented far enough: the tree is mended as it was probably meant.
//!
//! Each slip is reported once; the check then reads the mended tree and has nothing more to say of
//! it. Main function: [`mend`].

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::keys::{DEFAULTS, INPUT, PLAN, RETRY, STEP, Shape, WORKSPACE};
use super::source::{Entry, Node, Yaml};
use super::words;

/// Moves keys that stand beside the map they belong to into it, and reports each move.
pub(super) fn mend(root: &mut Node, text: &str, findings: &mut Vec<Diagnostic>) {
    let Yaml::Map(top) = &mut root.value else { return };
    let mut mender = Mender { text, findings };
    mender.adopt(top, &PLAN);
    for Entry { key, value } in top {
        match key.key_text(text) {
            Some("workspaces") => mender.hand_down(value, &WORKSPACE),
            Some("inputs") => mender.hand_down(value, &INPUT),
            Some("steps") => {
                mender.hand_down(value, &STEP);
                let Yaml::Map(steps) = &mut value.value else { continue };
                for Entry { value: step, .. } in steps {
                    if let Yaml::Map(keys) = &mut step.value {
                        mender.adopt(keys, &STEP);
                    }
                }
            }
            Some("defaults") => {
                if let Yaml::Map(keys) = &mut value.value {
                    mender.adopt(keys, &DEFAULTS);
                }
            }
            _ => {}
        }
    }
}

struct Mender<'a, 'f> {
    text: &'a str,
    findings: &'f mut Vec<Diagnostic>,
}

impl Mender<'_, '_> {
    /// Gives an empty key, such as `retry:`, the keys below it that stand as far in as itself.
    fn adopt(&mut self, entries: &mut Vec<Entry>, shape: &Shape) {
        let mut n = 0;
        while n < entries.len() {
            let parent = &entries[n];
            if let Yaml::Null = parent.value.value {
                let fits = |entry: &&Entry| is_below(parent, entry) && self.is_child(parent, entry, shape);
                let children = entries[n + 1..].iter().take_while(fits).count();
                if children > 0 {
                    let taken: Vec<Entry> = entries.drain(n + 1..=n + children).collect();
                    self.report_beside(&entries[n], &taken);
                    let place = taken[0].key.clone();
                    entries[n].value = place.clone_as(Yaml::Map(taken));
                }
            }
            n += 1;
        }
    }

    /// Says whether a key beside an empty one can only be meant to stand below it.
    fn is_child(&self, parent: &Entry, Entry { key, value }: &Entry, shape: &Shape) -> bool {
        let name = key.key_text(self.text).unwrap_or_default();
        let is_own = || shape.keys.contains(&name);
        let is_like_own = || {
            words::foreign(name, shape.keys).is_some()
                || words::nearest(name, shape.keys.iter().copied()).is_some()
        };
        let has_key_of = |shape: &Shape| match &value.value {
            Yaml::Map(keys) => keys.iter().any(|entry| self.is_key(entry, shape.keys)),
            _ => false,
        };
        !is_own()
            && match parent.key.key_text(self.text).unwrap_or_default() {
                "steps" => matches!(value.value, Yaml::Map(_) | Yaml::Null) && !is_like_own(),
                "workspaces" => has_key_of(&WORKSPACE),
                "inputs" => has_key_of(&INPUT),
                "defaults" => DEFAULTS.keys.contains(&name),
                "retry" => RETRY.keys.contains(&name),
                "parameters" => !is_like_own(),
                _ => false,
            }
    }

    fn report_beside(&mut self, parent: &Entry, children: &[Entry]) {
        let parent = self.name(parent);
        let (names, stands, it) = (self.names(children), plural(children, "s", ""), it(children));
        let message = format!("{names} stand{stands} beside `{parent}`: indent {it} under `{parent}`");
        self.findings.push(finding(&children[0], message).help(shift(children)));
    }

    /// Gives each named map, such as a step, the keys after it that stand as far in as its name.
    fn hand_down(&mut self, named: &mut Node, shape: &Shape) {
        let Yaml::Map(entries) = &mut named.value else { return };
        let was_empty = entries.is_empty();
        let mut kept: Vec<Entry> = Vec::with_capacity(entries.len());
        let mut slipped: Vec<Entry> = Vec::new();
        for entry in std::mem::take(entries) {
            let neighbour = slipped.last().or(kept.last());
            if self.is_slip(&entry, shape) && neighbour.is_none_or(|above| is_below(above, &entry)) {
                slipped.push(entry);
            } else {
                self.give(kept.last_mut(), std::mem::take(&mut slipped), shape);
                kept.push(entry);
            }
        }
        self.give(kept.last_mut(), slipped, shape);
        // Nothing is left where every name is missing: nobody need say that it is empty.
        let has_lost_all = kept.is_empty() && !was_empty;
        named.value = if has_lost_all { Yaml::Broken } else { Yaml::Map(kept) };
    }

    /// Says whether a key among names is one of those that belong below a name.
    fn is_slip(&self, entry: &Entry, shape: &Shape) -> bool {
        let name = self.name(entry);
        if !shape.keys.contains(&name) {
            return false;
        }
        match &entry.value.value {
            Yaml::Null | Yaml::Broken => false,
            Yaml::Map(keys) => match name {
                "retry" => keys.iter().any(|key| self.is_key(key, RETRY.keys)),
                "parameters" | "default" => {
                    let is_free = |key: &Entry| {
                        let name = self.name(key);
                        words::foreign(name, shape.keys).is_none()
                            && words::nearest(name, shape.keys.iter().copied()).is_none()
                    };
                    !keys.is_empty() && keys.iter().all(is_free)
                }
                _ => false,
            },
            _ => true,
        }
    }

    fn give(&mut self, owner: Option<&mut Entry>, slipped: Vec<Entry>, shape: &Shape) {
        let Some(first) = slipped.first() else { return };
        let (names, what) = (self.names(&slipped), shape.name);
        let are = plural(&slipped, "is a key", "are keys");
        let it = it(&slipped);
        let Some(owner) = owner else {
            let message = format!("{names} {are} of {what}, but no name stands above {it}");
            let help = format!(
                "write a name with a colon on the line above, and put two more spaces in front of {it}"
            );
            self.findings.push(finding(first, message).help(help));
            return;
        };
        let name = self.name(owner).to_owned();
        let own: &[Entry] = if let Yaml::Map(keys) = &owner.value.value { keys } else { &[] };
        let is_held = |entry: &Entry| own.iter().any(|key| self.name(key) == self.name(entry));
        if let Some(twice) = slipped.iter().find(|entry| is_held(entry)) {
            let twice = self.name(twice);
            let message = format!("{names} {are} of {what}, and `{name}` has `{twice}` already");
            let help = format!("write the next name and a colon above {it}, or indent {it} under `{name}`");
            self.findings.push(finding(first, message).help(help));
            return;
        }
        let message = format!("{names} {are} of {what}: indent {it} under `{name}`");
        self.findings.push(finding(first, message).help(shift(&slipped)));
        match &mut owner.value.value {
            Yaml::Map(keys) => keys.extend(slipped),
            Yaml::Null => owner.value = first.key.clone().clone_as(Yaml::Map(slipped)),
            // It is reported as a value of the wrong type.
            _ => {}
        }
    }

    fn name<'e>(&'e self, entry: &'e Entry) -> &'e str {
        entry.key.key_text(self.text).unwrap_or_default()
    }

    fn names(&self, entries: &[Entry]) -> String {
        const SHOWN_MAX: usize = 5;
        if entries.len() <= SHOWN_MAX {
            return words::list(entries.iter().map(|entry| self.name(entry)), "and");
        }
        format!("`{}` and {} more keys", self.name(&entries[0]), entries.len() - 1)
    }

    fn is_key(&self, entry: &Entry, keys: &[&str]) -> bool {
        keys.contains(&self.name(entry))
    }
}

/// Returns what to do with keys that are not far enough in.
fn shift(entries: &[Entry]) -> &'static str {
    plural(
        entries,
        "put two more spaces in front of this line, and of what belongs to it",
        "put two more spaces in front of each of these lines, and of what belongs to them",
    )
}

fn finding(first: &Entry, message: String) -> Diagnostic {
    Diagnostic::at(Code::Indentation, first.key.span(), message)
}

fn plural(entries: &[Entry], one: &'static str, several: &'static str) -> &'static str {
    if entries.len() == 1 { one } else { several }
}

fn it(entries: &[Entry]) -> &'static str {
    plural(entries, "it", "them")
}

/// Says whether a key stands on a later line, as far in as another.
fn is_below(above: &Entry, below: &Entry) -> bool {
    let (above, below) = (above.key.span().place, below.key.span().place);
    above.column == below.column && above.line < below.line
}
