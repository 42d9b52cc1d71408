//! What `synflow explain` says of a code: a file of Markdown in `explain/`, taken apart.
//!
//! The form is fixed: a heading, the cause in a few paragraphs, a plan that is wrong and one that is right.
//! A test checks every file, and that the plans do what they are there for.

/// The explanation of one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The whole text, in Markdown.
    pub text: &'static str,
    /// What is wrong, why, and the way out.
    pub cause: &'static str,
    /// A plan that has the problem, and nothing else.
    pub wrong: &'static str,
    /// The same plan without it.
    pub right: &'static str,
}

impl Explanation {
    /// Takes a text apart; a part that is not there is empty.
    pub(super) fn read(text: &'static str) -> Self {
        let body = text.split_once("\n\n").map_or("", |(_, rest)| rest);
        let (cause, plans) = body.split_once("\n## Wrong\n").unwrap_or((body, ""));
        let (wrong, right) = plans.split_once("\n## Right\n").unwrap_or((plans, ""));
        Self { text, cause: cause.trim(), wrong: fenced(wrong), right: fenced(right) }
    }
}

/// Returns what stands in the fenced block of YAML.
fn fenced(part: &'static str) -> &'static str {
    let inside = part.split_once("```yaml\n").map_or("", |(_, rest)| rest);
    inside.split_once("```").map_or("", |(plan, _)| plan)
}

#[cfg(test)]
mod tests {
    use super::Explanation;

    #[test]
    fn takes_a_text_apart() {
        let text =
            "# E1: x\n\nWhy.\n\nHow.\n\n## Wrong\n\n```yaml\na: 1\n```\n\n## Right\n\n```yaml\na: 2\n```\n";
        let read = Explanation::read(text);
        assert_eq!((read.cause, read.wrong, read.right), ("Why.\n\nHow.", "a: 1\n", "a: 2\n"));
        assert_eq!(Explanation::read("").wrong, "");
    }
}
