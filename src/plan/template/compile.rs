//! Texts to the engine's templates, tag by tag: a tag that stands in ten thousand texts is parsed once.
//!
//! Reading a tag costs the engine's parser more than all else a large plan asks for. Main function: [`Tags::compile`].

use std::cell::RefCell;
use std::collections::BTreeMap;

use handlebars::TemplateError;
use handlebars::template::{Template, TemplateElement, TemplateMapping};

/// How many different tags are kept.
const TAGS_MAX: usize = 1_000;

/// The tags that have been read so far, such as `{{inputs.day}}`.
#[derive(Debug, Default)]
pub(in crate::plan) struct Tags(RefCell<BTreeMap<String, Tag>>);

/// A tag as the engine reads it.
type Tag = (TemplateElement, TemplateMapping);

impl Tags {
    /// Compiles a text. Gives what the engine's own parser gives.
    pub(in crate::plan) fn compile(&self, text: &str) -> Result<Template, Box<TemplateError>> {
        match self.assemble(text) {
            Some(template) => Ok(template),
            None => Template::compile(text).map_err(Box::new),
        }
    }

    /// Puts a line of plain texts and plain tags together; nothing if there is more to it than that.
    fn assemble(&self, text: &str) -> Option<Template> {
        if text.contains(['\n', '\r', '\\']) {
            return None;
        }
        let mut template = Template::new();
        let (mut at, mut column) = (0, 1);
        while let Some(open) = text[at..].find("{{").map(|open| at + open) {
            let inner = &text[open + 2..open + text[open..].find("}}")?];
            let close = open + inner.len() + 4;
            let is_plain = inner.starts_with(|c: char| c.is_ascii_alphabetic())
                && !inner.contains(['{', '~'])
                && !inner.starts_with("else")
                && !text[close..].starts_with('}');
            if !is_plain {
                return None;
            }
            let tag = &text[open..close];
            let (element, mut mapping) = self.tag(tag)?;
            if open > at {
                let raw = &text[at..open];
                template.elements.push(TemplateElement::RawString(raw.to_owned()));
                template.mapping.push(moved(&mapping, column));
                column += raw.chars().count();
            }
            mapping.1 = column;
            template.elements.push(element);
            template.mapping.push(mapping);
            column += tag.chars().count();
            at = close;
        }
        let rest = &text[at..];
        if !rest.is_empty() {
            let mapping = moved(template.mapping.last()?, column);
            template.elements.push(TemplateElement::RawString(rest.to_owned()));
            template.mapping.push(mapping);
        }
        Some(template)
    }

    fn tag(&self, tag: &str) -> Option<Tag> {
        if let Some(known) = self.0.borrow().get(tag) {
            return Some(known.clone());
        }
        let mut template = Template::compile(tag).ok()?;
        let (1, Some(element), Some(mapping)) =
            (template.elements.len(), template.elements.pop(), template.mapping.pop())
        else {
            return None;
        };
        let mut tags = self.0.borrow_mut();
        if tags.len() < TAGS_MAX {
            tags.insert(tag.to_owned(), (element.clone(), mapping.clone()));
        }
        Some((element, mapping))
    }
}

/// Returns a place in the same line.
fn moved(mapping: &TemplateMapping, column: usize) -> TemplateMapping {
    let mut moved = mapping.clone();
    moved.1 = column;
    moved
}

#[cfg(test)]
mod tests {
    use handlebars::template::{Template, TemplateElement};

    use super::Tags;

    #[test]
    fn gives_what_the_engine_gives() {
        let tags = Tags::default();
        let pieces = [
            "",
            " ",
            "a",
            "é数 ",
            "{{a}}",
            "{{ a.b }}",
            "{{json a}}",
            "{{default a.[b c] \"x}y\"}}",
            "{{f (g 1) k=2}}",
            "{{a}} ",
            "{{~a}}",
            "{{a~}}",
            "{{{a}}}",
            "{{&a}}",
            "{{#if a}}",
            "{{else}}",
            "{{/if}}",
            "{{! c }}",
            "{{!-- c --}}",
            "\\{{a}}",
            "}",
            "{",
            "\n",
            "{{> p}}",
            "{{elsewhere}}",
            "{{\"a\"}}",
            "{{1}}",
            "{{a b}}",
            "}}",
            "{{",
            "{{'a'}}",
            "{{x 'a'}}",
            "{{this}}",
            "{{@root}}",
            "{{a.[0]}}",
        ];
        let mut assembled = 0;
        for one in pieces {
            for two in pieces {
                for three in pieces {
                    let text = [one, two, three].concat();
                    let Some(ours) = tags.assemble(&text) else { continue };
                    assembled += 1;
                    let theirs = Template::compile(&text).unwrap_or_else(|error| panic!("{text:?}: {error}"));
                    assert_eq!(ours.elements, theirs.elements, "{text:?}");
                    // Where plain text stands, nobody asks.
                    let places = |template: &Template| {
                        let pairs = template.elements.iter().zip(&template.mapping);
                        let pairs =
                            pairs.filter(|(element, _)| !matches!(element, TemplateElement::RawString(_)));
                        pairs.map(|(_, mapping)| (mapping.0, mapping.1)).collect::<Vec<_>>()
                    };
                    assert_eq!(places(&ours), places(&theirs), "{text:?}");
                }
            }
        }
        assert!(assembled > 2_000, "{assembled}");
    }
}
