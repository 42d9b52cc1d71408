//! Names of activities and parameters as a plan may have them.

/// The longest id of a step that is made of a name, in characters.
const ID_CHARS_MAX: usize = 90;

/// Words that mean something else in templates or conditions.
const TAKEN: [&str; 9] = ["this", "true", "false", "null", "undefined", "and", "or", "not", "in"];

/// Returns the id for an activity's name: what an id cannot hold becomes `_`.
pub(super) fn step(name: &str) -> String {
    let mut id = String::new();
    for c in name.trim().chars().take(ID_CHARS_MAX) {
        let fits = c.is_alphanumeric() || c == '_' || c == '-';
        if fits {
            id.push(c);
        } else if !id.ends_with('_') {
            id.push('_');
        }
    }
    let id = id.trim_start_matches('-').trim_end_matches('_');
    if id.is_empty() { "step".to_owned() } else { id.to_owned() }
}

/// Returns the name of the input for a parameter, or for a value that was computed: letters, digits and `_`.
pub(super) fn input(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut plain: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    if plain.starts_with(|c: char| c.is_ascii_digit()) || plain.is_empty() || TAKEN.contains(&plain.as_str())
    {
        plain.insert(0, '_');
    }
    plain
}

/// Returns a name that is not taken: the name itself, or one with a number.
pub(super) fn unique(name: &str, taken: &[&str]) -> String {
    let numbers = (2..).map(|n: u32| format!("{name}_{n}"));
    let free = std::iter::once(name.to_owned()).chain(numbers).find(|name| !taken.contains(&name.as_str()));
    free.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{input, step, unique};

    #[test]
    fn makes_names_that_are_allowed() {
        let check = |name: &str, want: &str| assert_eq!(step(name), want, "{name}");
        check("SQL to Staging", "SQL_to_Staging");
        check("1_preland", "1_preland");
        check("- (x) -", "_x_-");
        check("Größe / 数据", "Größe_数据");
        check("???", "step");
        check("", "step");
        assert_eq!(input("my day"), "my_day");
        assert_eq!(input("2nd"), "_2nd");
        assert_eq!(input("this"), "_this");
        assert_eq!(unique("a", &["a", "a_2"]), "a_3");
    }
}
