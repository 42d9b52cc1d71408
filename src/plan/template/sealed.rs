//! Secrets in templates: found at the top of a text, kept apart from it, and rendered as references.
//!
//! A text with secrets is never one template: it is split around them, so that no value that is filled in can be taken
//! for a secret. What a secret's reference is made of is known before the flow begins.

use handlebars::template::{HelperTemplate, Parameter, TemplateElement};
use handlebars::{Path, Template};
use serde_json::Value;

use super::expression::Expression;
use super::names::{NamesHere, Refusal};
use super::parse::{Walk, as_parameter, expression, parts, raw, usage};
use super::{Scope, engine};
use crate::plan::code::Code;
use crate::plan::secret::{Piece, SecretRef};

/// The helper that asks for a secret.
pub(super) const SECRET: &str = "secret";

/// A part of a text that holds secrets.
#[derive(Clone, Debug)]
pub(in crate::plan) enum Part {
    /// What stands around them.
    Text(Template),
    /// The text of a reference.
    Secret(Expression),
}

/// A secret that a text asks for.
#[derive(Debug)]
pub(super) struct Sealed {
    /// Which element of the text it is.
    element: usize,
    /// What gives its reference.
    reference: Expression,
    /// The reference, if it is known by now.
    pub(super) known: Option<SecretRef>,
    /// Where it stands in the text, in bytes.
    pub(super) at: usize,
    /// How many bytes of it are shown.
    pub(super) bytes: usize,
}

/// A problem has been noted.
struct Reported;

impl Part {
    /// Renders the part; a secret is left as its reference.
    pub(super) fn render(&self, scope: &Scope, context: &handlebars::Context) -> Result<Piece, String> {
        match self {
            Self::Text(template) => engine::render(template, context, scope).map(Piece::Text),
            Self::Secret(reference) => self::reference(reference, scope).map(Piece::Secret),
        }
    }
}

/// Returns the reference that an expression gives. The sentence of a failure does not repeat what is no reference.
pub(super) fn reference(expression: &Expression, scope: &Scope) -> Result<SecretRef, String> {
    let Value::String(text) = expression.render(scope)? else {
        return Err(no_reference(expression, "it is no text"));
    };
    SecretRef::parse(&text).map_err(|bad| no_reference(expression, &bad.why))
}

fn no_reference(expression: &Expression, why: &str) -> String {
    match expression {
        Expression::Name(path) => {
            format!("the value of `{}` is not a reference to a secret: {why}", path.join("."))
        }
        _ => format!("what is given to `secret` is not a reference: {why}"),
    }
}

/// Splits a template around its secrets.
pub(super) fn split(template: Template, sealed: Vec<Sealed>) -> Vec<Part> {
    let mut sealed = sealed.into_iter().peekable();
    let mut parts = Vec::new();
    let mut around = Template::new();
    let places = template.mapping.into_iter();
    for (n, (element, place)) in template.elements.into_iter().zip(places).enumerate() {
        if let Some(secret) = sealed.next_if(|secret| secret.element == n) {
            if !around.elements.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut around)));
            }
            parts.push(Part::Secret(secret.reference));
        } else if !matches!(element, TemplateElement::Comment(_)) {
            around.elements.push(element);
            around.mapping.push(place);
        }
    }
    if !around.elements.is_empty() {
        parts.push(Part::Text(around));
    }
    parts
}

impl Walk<'_> {
    /// Says whether an inline expression asks for a secret.
    pub(super) fn asks_for_secret(&self, inline: &HelperTemplate) -> bool {
        let is_bare = inline.params.is_empty() && inline.hash.is_empty();
        if !is_bare {
            return inline.name.as_name() == Some(SECRET);
        }
        match as_parameter(inline) {
            Parameter::Path(Path::Relative((segments, _))) => self.is_secret_input(&parts(&segments)),
            _ => false,
        }
    }

    /// Says whether a name is an input that holds a reference.
    pub(super) fn is_secret_input(&self, parts: &[String]) -> bool {
        matches!(parts, [inputs, name, ..] if inputs == "inputs" && self.known.secret_inputs.contains(name))
    }

    /// Takes an inline expression at the top of a text that asks for a secret.
    pub(super) fn seal(&mut self, element: usize, inline: &HelperTemplate) {
        let mut whole = as_parameter(inline);
        let name = match &whole {
            Parameter::Path(path) => raw(path).to_owned(),
            _ => SECRET.to_owned(),
        };
        if !self.here.admits_secrets() {
            return self.refuse(&name, not_here(&name));
        }
        if let Parameter::Subexpression(_) = &whole {
            let [argument] = inline.params.as_slice() else { return self.refuse(SECRET, usage(SECRET)) };
            if !inline.hash.is_empty() {
                return self.refuse(SECRET, usage(SECRET));
            }
            whole = argument.clone();
        }
        let at = self.find(&name);
        let known = match &whole {
            Parameter::Literal(Value::String(text)) => match SecretRef::parse(text) {
                Ok(reference) => Some(reference),
                Err(bad) => {
                    let message = format!("this is not a reference to a secret: {}", bad.why);
                    let refusal = Refusal::new(Code::BadReference, message)
                        .help(bad.help)
                        .hide_source(bad.may_be_secret);
                    return self.refuse(if text.is_empty() { SECRET } else { text }, refusal);
                }
            },
            Parameter::Literal(_) => return self.refuse(SECRET, usage(SECRET)),
            Parameter::Path(path) if raw(path).contains(':') => {
                let name = raw(path);
                let refusal = Refusal::new(
                    Code::TemplateSyntax,
                    "the reference to a secret stands in quotes",
                )
                .help(format!("write `{{{{secret \"{name}\"}}}}`, and single quotes around the whole value"));
                return self.refuse(name, refusal);
            }
            Parameter::Path(path)
                if raw(path).split('.').next().is_some_and(|first| ["steps", "flow"].contains(&first)) =>
            {
                let message = "where a secret is kept must be known before the flow begins";
                let refusal = Refusal::new(Code::NameNotHere, message)
                    .help("name it in quotes, or by an input: `{{secret inputs.key}}`");
                return self.refuse(raw(path), refusal);
            }
            _ => match self.computed(&mut whole) {
                Ok(known) => known,
                Err(Reported) => return,
            },
        };
        if let Some(reference) = expression(&whole) {
            self.sealed.push(Sealed { element, reference, known, at, bytes: name.len() });
        }
    }

    /// Checks what a reference is computed from; gives the reference if it can be known now. Fails once it has reported why.
    fn computed(&mut self, argument: &mut Parameter) -> Result<Option<SecretRef>, Reported> {
        let before = self.problems.len();
        let was_open = std::mem::take(&mut self.found.is_open);
        self.is_in_reference = true;
        let here = std::mem::replace(&mut self.here, NamesHere::Early);
        self.parameter(argument, 0, false);
        self.here = here;
        self.is_in_reference = false;
        let is_open = self.found.is_open;
        self.found.is_open |= was_open;
        if self.problems.len() > before {
            return Err(Reported);
        }
        let computed = expression(argument).ok_or(Reported)?;
        if is_open {
            return Ok(None);
        }
        match reference(&computed, &self.known.scope) {
            Ok(known) => Ok(Some(known)),
            Err(message) => {
                let help =
                    "give it `env:NAME`, `file:PATH` or `keyvault:VAULT/NAME`, never the secret itself";
                let given = computed.render(&self.known.scope).unwrap_or_default();
                let row = self.known.scope.each.as_ref();
                // A key may be the text itself, which is not repeated.
                let row = row.filter(|row| given.as_str().is_none_or(|given| !row.key.contains(given)));
                let label = row.map(|row| format!("in the iteration `{}`", row.key)).unwrap_or_default();
                self.refuse(SECRET, Refusal::new(Code::NoReference, message).label(label).help(help));
                Err(Reported)
            }
        }
    }

    /// Refuses a reference that a variable holds in the open: most likely, it is the secret that the variable holds.
    pub(super) fn refuse_variable(&mut self) {
        let message = "`env` is for values that anybody may see: the journal keeps them";
        let help = "write `{{secret \"env:NAME\"}}`, which reads the variable when the request is sent";
        self.refuse("env", Refusal::new(Code::SecretInTheOpen, message).help(help));
    }

    /// Refuses a secret that is not alone, and not at the top of a text.
    pub(super) fn refuse_secret(&mut self, name: &str) {
        if !self.here.admits_secrets() {
            return self.refuse(name, not_here(name));
        }
        let message = if self.blocks > 0 {
            "a secret cannot stand in a block: only the request that is sent holds it"
        } else {
            "a secret cannot be given to a helper: only the request that is sent holds it"
        };
        let help = if name == SECRET {
            "let `{{secret \"...\"}}` stand alone, or inside a longer text: `\"Bearer {{secret \\\"env:TOKEN\\\"}}\"`".to_owned()
        } else {
            format!("let `{{{{{name}}}}}` stand alone, or inside a longer text")
        };
        self.refuse(name, Refusal::new(Code::SecretInHelper, message).help(help));
    }
}

fn not_here(name: &str) -> Refusal {
    let message = if name == SECRET {
        "a secret cannot be used here: what stands here is written down and shown".to_owned()
    } else {
        format!("`{name}` is a secret and cannot be used here: what stands here is written down and shown")
    };
    Refusal::new(Code::SecretNotHere, message)
        .help("secrets stand in the `parameters` of a step and in webhooks")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::{Value, json};

    use super::super::names::{Known, NamesHere};
    use super::super::parse::{Compiled, parse};
    use crate::plan::secret::{Piece, shown};
    use crate::plan::{Given, Scope, SecretText, Template, load};

    fn rendered(value: &str, inputs: &Value) -> (Value, Vec<SecretText>) {
        let text = format!(
            "version: 1\nname: n\nworkspace: w\ninputs: {{ t: {{ type: string }}, l: {{ type: array, default: [1] }} }}\n\
             steps: {{ a: {{ parameters: {{ p: {value} }} }} }}\n"
        );
        let inputs = vec![("t".to_owned(), inputs["t"].as_str().unwrap_or_default().to_owned())];
        let given = Given { inputs, inputs_required: true, ..Given::default() };
        let plan = load(text.as_bytes(), &given).unwrap_or_else(|found| panic!("{value}: {found:?}")).plan;
        let scope = Scope { inputs: plan.inputs.clone(), plan_name: plan.name, ..Scope::default() };
        let rendered = plan.steps[0].parameters[0].1.render_for_request(&scope).expect("it has a value");
        (rendered.value, rendered.secrets)
    }

    #[test]
    fn secrets_stay_references_and_values_stay_texts() {
        let check = |value: &str, input: &str, want: &Value, secrets: &Value| {
            let (got, found) = rendered(value, &json!({ "t": input }));
            let found = serde_json::to_value(found).expect("pieces are JSON");
            assert_eq!((&got, &found), (want, secrets), "{value} with {input}");
        };
        let key = |at: &str| json!([{ "at": at, "pieces": [{ "secret": "env:K" }] }]);
        let looks_so = "{{secret \"env:K\"}}";
        check("'{{secret \"env:K\"}}'", "", &json!(looks_so), &key(""));
        check(
            "{ 'a/b': ['x', '{{ secret \"env:K\" }}'] }",
            "",
            &json!({ "a/b": ["x", looks_so] }),
            &key("/a~1b/1"),
        );
        check("'{{secret inputs.t}}'", "env:K", &json!(looks_so), &key(""));
        // What only looks like one is a text.
        check("'{{inputs.t}}'", looks_so, &json!(looks_so), &json!([]));
        check("'\\{{secret \"env:K\"}}'", "", &json!(looks_so), &json!([]));
        check(
            "'Bearer {{secret \"env:K\"}} {{inputs.t}}'",
            looks_so,
            &json!(format!("Bearer {looks_so} {looks_so}")),
            &json!([{ "at": "", "pieces": [
                { "text": "Bearer " }, { "secret": "env:K" }, { "text": format!(" {looks_so}") },
            ] }]),
        );
        check(
            "'{{#each inputs.l}}{{this}};{{/each}}{{! a word }}{{secret \"env:K\"}}'",
            "",
            &json!(format!("1;{looks_so}")),
            &json!([{ "at": "", "pieces": [{ "text": "1;" }, { "secret": "env:K" }] }]),
        );
    }

    #[test]
    fn a_secret_stands_where_it_is_sent_and_nowhere_else() {
        let env = BTreeMap::from([("REGION".to_owned(), "emea".to_owned())]);
        let known = Known::new("n", "", &env, true);
        let found = |text: &str, here: NamesHere| match parse(text, here, &known) {
            Ok(_) => "",
            Err(problems) => problems[0].refusal.code.id(),
        };
        let check = |text: &str, want: &str| {
            for here in [NamesHere::Request, NamesHere::AtEnd, NamesHere::AtDeadline] {
                assert_eq!(found(text, here), want, "{text}");
            }
            for here in [NamesHere::Early, NamesHere::All] {
                assert_eq!(found(text, here), "E0426", "{text}");
            }
        };
        check("{{secret \"env:X\"}}", "");
        check("a {{secret \"env:X\"}} {{plan.name}} {{secret \"file:b\"}}", "");
        check("{{secret \"X\"}}", "E0425");
        check("{{secret}}", "E0410");
        check("{{secret 3}}", "E0410");
        check("{{secret \"env:X\" \"env:Y\"}}", "E0410");
        check("{{json (secret \"env:X\")}}", "E0427");
        check("{{#if plan.name}}{{secret \"env:X\"}}{{/if}}", "E0427");
        check("{{#if (secret \"env:X\")}}x{{/if}}", "E0427");
        check("{{secret (env \"X\")}}", "E0428");
        check("{{secret (env \"REGION\")}}", "E0428");
        check("{{secret steps.up.run_id}}", "E0406");
        check("{{secret inputs.nope}}", "E0402");
        check("{{secret each.value}}", "E0406");
        check("{{secret (concat \"env:\" each.key)}}", "E0406");
    }

    #[test]
    fn an_iteration_names_its_own_secret() {
        let text = "version: 1\nname: n\nworkspace: w\ninputs: { to: { type: string, default: t } }\nsteps:\n  a:\n    \
                    for_each: [{ at: 'env:A' }, { at: 'keyvault:contoso/b' }]\n    key: '{{each.value.at}}'\n    \
                    parameters: { p: '{{secret each.value.at}}', q: '{{secret (concat \"env:K-\" inputs.to)}}' }\n";
        let plan = load(text.as_bytes(), &Given::default()).unwrap_or_else(|found| panic!("{found:?}")).plan;
        let all: Vec<String> = plan
            .runs()
            .flat_map(|(_, step)| {
                let scope = plan.scope(step);
                let of =
                    |(_, template): &(String, Template)| template.references(&scope).expect("they are known");
                step.parameters.iter().flat_map(of).collect::<Vec<_>>()
            })
            .map(|reference| reference.to_string())
            .collect();
        assert_eq!(all, ["env:A", "env:K-t", "keyvault:contoso/b", "env:K-t"]);
    }

    #[test]
    fn an_input_that_holds_a_reference_is_resolved_and_stays_out_of_the_open() {
        let env = BTreeMap::new();
        let mut known = Known::new("n", "", &env, true);
        known.scope.inputs.insert("key".to_owned(), json!("keyvault:contoso/key"));
        known.secret_inputs = BTreeSet::from(["key".to_owned()]);
        known.refresh();
        let check = |text: &str, here: NamesHere, want: &str| {
            let got = match parse(text, here, &known) {
                Ok(parsed) => match parsed.compiled {
                    Compiled::Sealed(parts) => {
                        let pieces: Vec<Piece> = parts
                            .iter()
                            .map(|part| part.render(&known.scope, &known.context).expect("it has a value"))
                            .collect();
                        shown(&pieces)
                    }
                    _ => "a value that anybody may see".to_owned(),
                },
                Err(problems) => problems[0].refusal.code.id().to_owned(),
            };
            assert_eq!(got, want, "{text}");
        };
        let shown = "{{secret \"keyvault:contoso/key\"}}";
        check("{{inputs.key}}", NamesHere::Request, shown);
        check("{{secret inputs.key}}", NamesHere::Request, shown);
        check("Bearer {{inputs.key}}", NamesHere::Request, &format!("Bearer {shown}"));
        check("{{json inputs.key}}", NamesHere::Request, "E0427");
        check("{{#if inputs.key}}x{{/if}}", NamesHere::Request, "E0427");
        check("{{#if plan.name}}{{inputs.key}}{{/if}}", NamesHere::Request, "E0427");
        check("{{inputs.key}}", NamesHere::Early, "E0426");
        check("x {{inputs.key}}", NamesHere::All, "E0426");
        check("{{secret inputs.key}}", NamesHere::All, "E0426");
        check("{{secret \"env:K\"}}", NamesHere::Early, "E0426");
    }
}
