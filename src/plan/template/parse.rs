//! A text to a compiled template: every name checked, every inline expression made strict.
//!
//! Walks the element tree that Handlebars gives, blocks included. Main function: [`parse`].

use handlebars::template::{BlockParam, HelperTemplate, Parameter, Subexpression, TemplateElement};
use handlebars::{Path, PathSeg, Template};
use serde_json::Value;

use super::engine::{self, TEXT, THERE};
use super::expression::Expression;
use super::names::{Known, Meaning, NamesHere, Refusal, resolve};
use super::sealed::{Part, SECRET, Sealed, split};
use super::unreadable::{too_deep, unreadable};
use crate::plan::code::Code;
use crate::plan::function::{Failure, Function, Language, Param};
use crate::plan::secret::SecretRef;
use crate::plan::words;

/// How many problems of one text are reported.
const PROBLEMS_MAX: usize = 20;
/// Helpers that take a block.
const BLOCKS: [&str; 4] = ["if", "unless", "each", "with"];

/// A text that has been understood.
pub(super) struct Parsed {
    pub(super) compiled: Compiled,
    pub(super) found: Found,
}

/// A compiled text.
pub(super) enum Compiled {
    Lone(Expression),
    Text(Template),
    Sealed(Vec<Part>),
}

/// What a text asks for.
#[derive(Default)]
pub(super) struct Found {
    /// The steps it reads, each with the byte where it does.
    pub(super) steps: Vec<(String, usize)>,
    /// The inputs it uses; the empty text stands for all of them.
    pub(super) inputs: Vec<String>,
    /// The outputs of steps that it reads.
    pub(super) outputs: Vec<OutputFound>,
    /// The environment variables it reads.
    pub(super) env: Vec<String>,
    /// Variables that are not set, each with the byte where it is read.
    pub(super) unset: Vec<(String, usize)>,
    /// The secrets it asks for, each with its place in the text and its length; no reference where that is not known yet.
    pub(super) secrets: Vec<(Option<SecretRef>, usize, usize)>,
    /// Whether it uses something that has no value yet, so that it cannot be tried.
    pub(super) is_open: bool,
}

/// An output that a text reads at some byte.
pub(super) struct OutputFound {
    pub(super) step: String,
    pub(super) output: String,
    /// The name as it is written.
    pub(super) name: String,
    pub(super) has_default: bool,
    pub(super) at: usize,
}

/// A problem at some bytes of the text.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) at: usize,
    pub(super) bytes: usize,
    pub(super) refusal: Refusal,
}

/// Compiles a text that holds `{{`.
pub(super) fn parse(text: &str, here: NamesHere, known: &Known<'_>) -> Result<Parsed, Vec<Problem>> {
    if let Some(problem) = too_deep(text) {
        return Err(vec![problem]);
    }
    let mut template = known.tags.compile(text).map_err(|error| vec![unreadable(text, &error)])?;
    let mut walk = Walk {
        text,
        here,
        known,
        cursor: Cursor { byte: 0, line: 1, column: 1 },
        locals: Vec::new(),
        blocks: 0,
        is_in_reference: false,
        sealed: Vec::new(),
        found: Found::default(),
        problems: Vec::new(),
    };
    // A secret is never an expression of its own: its value is not known where expressions are evaluated.
    let lone = lone(&template).filter(|inline| !walk.asks_for_secret(inline));
    let lone = lone.map(|inline| walk.expression(inline));
    if lone.is_none() {
        walk.template(&mut template, 0);
    }
    let Walk { mut found, problems, sealed, .. } = walk;
    if !problems.is_empty() {
        return Err(problems);
    }
    if !sealed.is_empty() {
        found.secrets = sealed.iter().map(|it| (it.known.clone(), it.at, it.bytes)).collect();
        return Ok(Parsed { compiled: Compiled::Sealed(split(template, sealed)), found });
    }
    let compiled = lone.flatten().map_or(Compiled::Text(template), Compiled::Lone);
    Ok(Parsed { compiled, found })
}

pub(super) struct Walk<'w> {
    text: &'w str,
    pub(super) here: NamesHere,
    pub(super) known: &'w Known<'w>,
    /// Where the current element stands: its names follow.
    cursor: Cursor,
    /// Names that blocks around the current element declare: `as |item|`.
    locals: Vec<String>,
    /// How many blocks stand around the current element.
    pub(super) blocks: usize,
    /// Whether what is walked says where a secret is kept.
    pub(super) is_in_reference: bool,
    /// The secrets at the top of the text.
    pub(super) sealed: Vec<Sealed>,
    pub(super) found: Found,
    pub(super) problems: Vec<Problem>,
}

impl Walk<'_> {
    /// Checks a lone expression; gives nothing if it has a problem.
    fn expression(&mut self, inline: &HelperTemplate) -> Option<Expression> {
        let mut whole = as_parameter(inline);
        self.parameter(&mut whole, 0, false);
        if self.problems.is_empty() { expression(&whole) } else { None }
    }

    /// Checks and rewrites a template. `depth` counts the blocks around it that change what `this` is.
    fn template(&mut self, template: &mut Template, depth: usize) {
        for (n, element) in template.elements.iter_mut().enumerate() {
            if let Some(mapping) = template.mapping.get(n) {
                self.cursor.advance(self.text, mapping.0, mapping.1);
            }
            match element {
                TemplateElement::Expression(inline) | TemplateElement::HtmlExpression(inline)
                    if self.blocks == 0 && self.asks_for_secret(inline) =>
                {
                    self.seal(n, inline);
                }
                TemplateElement::Expression(inline) | TemplateElement::HtmlExpression(inline) => {
                    self.inline(inline, depth);
                }
                TemplateElement::HelperBlock(block) => self.block(block, depth),
                TemplateElement::RawString(_) | TemplateElement::Comment(_) => {}
                _ => self.refuse(
                    "{{",
                    Refusal::new(Code::TemplateSyntax, "partials and decorators are not supported")
                        .help("write the text out"),
                ),
            }
        }
    }

    /// Checks an inline expression and wraps it so that only a value that fits into text passes.
    fn inline(&mut self, inline: &mut HelperTemplate, depth: usize) {
        let mut whole = as_parameter(inline);
        let value = self.parameter(&mut whole, depth, false);
        let kind = match value {
            Some(Value::Array(_)) => Some("a list"),
            Some(Value::Object(_)) => Some("an object"),
            _ => None,
        };
        if let (Some(kind), Parameter::Path(path)) = (kind, &whole) {
            let name = raw(path);
            let refusal = Refusal::new(Code::ListInText, engine::in_text(name, kind))
                .help(format!("write `{{{{json {name}}}}}` for its JSON text, or let the template stand alone to send {kind}"));
            self.refuse(name, refusal);
        }
        inline.name = Parameter::Name(TEXT.to_owned());
        inline.params = vec![whole];
        inline.hash.clear();
    }

    fn block(&mut self, block: &mut HelperTemplate, depth: usize) {
        let name = block.name.as_name().unwrap_or_default().to_owned();
        if !BLOCKS.contains(&name.as_str()) {
            let near = words::nearest(&name, BLOCKS);
            let refusal = Refusal::new(Code::UnknownHelper, format!("there is no block helper `#{name}`"))
                .help(format!("block helpers are {}", words::list(BLOCKS, "and")));
            return self.refuse(
                &name,
                match near {
                    Some(near) => refusal.label(format!("did you mean `#{near}`?")),
                    None => refusal,
                },
            );
        }
        if block.params.len() != 1 {
            let refusal = Refusal::new(Code::TemplateSyntax, format!("`#{name}` takes one value"));
            return self.refuse(&name, refusal.help(format!("write `{{{{#{name} inputs.x}}}}`")));
        }
        let hash = block.hash.clone();
        for parameter in block.params.iter_mut().chain(block.hash.values_mut()) {
            let outputs = self.found.outputs.len();
            self.parameter(parameter, depth, false);
            if self.found.outputs.len() > outputs && matches!(parameter, Parameter::Path(_)) {
                let there = Parameter::Name(THERE.to_owned());
                let call = Subexpression::new(there, vec![parameter.clone()], hash.clone());
                *parameter = Parameter::Subexpression(call);
            }
        }
        let declared = self.locals.len();
        let inner = if name == "each" || name == "with" { depth + 1 } else { depth };
        self.locals.extend(block_params(block.block_param.as_ref()));
        self.blocks += 1;
        if let Some(template) = &mut block.template {
            self.template(template, inner);
        }
        self.locals.truncate(declared);
        if let Some(template) = &mut block.inverse {
            self.template(template, depth);
        }
        self.blocks -= 1;
    }

    /// Checks what is given to a helper or stands alone; gives its value if that is known now.
    pub(super) fn parameter(
        &mut self,
        parameter: &mut Parameter,
        depth: usize,
        optional: bool,
    ) -> Option<Value> {
        match parameter {
            Parameter::Literal(value) => Some(value.clone()),
            Parameter::Path(path) => {
                let path = path.clone();
                self.path(&path, depth, optional)
            }
            Parameter::Subexpression(call) => {
                let TemplateElement::Expression(call) = call.element.as_mut() else { return None };
                if call.name.as_name() == Some("env") {
                    if self.is_in_reference {
                        self.refuse_variable();
                        return None;
                    }
                    let value = match call.params.as_slice() {
                        [Parameter::Literal(Value::String(name))] => self.known.env.get(name),
                        _ => None,
                    };
                    *parameter = self.env(call, optional)?;
                    return value.map(|value| value.as_str().into());
                }
                if call.name.as_name() == Some(SECRET) {
                    self.refuse_secret(SECRET);
                    return None;
                }
                if call.params.is_empty() && call.hash.is_empty() {
                    *parameter = call.name.clone();
                    return self.parameter(parameter, depth, optional);
                }
                self.call(call, depth, optional)
            }
            Parameter::Name(name) => {
                let name = name.clone();
                self.refuse(&name, unknown_helper(&name));
                None
            }
            _ => None,
        }
    }

    /// Checks a helper and what it is given; gives its value if all that is known now.
    fn call(&mut self, call: &mut HelperTemplate, depth: usize, optional: bool) -> Option<Value> {
        let name = call.name.as_name().unwrap_or_default().to_owned();
        let Some(function) = Function::named(&name) else {
            self.refuse(&name, unknown_helper(&name));
            return None;
        };
        if !function.admits(call.params.len()) || !call.hash.is_empty() {
            self.refuse(&name, usage(&name));
            return None;
        }
        let mut values = Vec::with_capacity(call.params.len());
        let mut is_good = true;
        for (n, parameter) in call.params.iter_mut().enumerate() {
            let param = function.param(n);
            if param == Param::Shift
                && let Parameter::Path(path) = &*parameter
                && raw(path).starts_with(['-', '+', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'])
            {
                let raw = raw(path).to_owned();
                let refusal = Refusal::new(Code::HelperValue, format!("`{raw}` must stand in quotes"));
                self.refuse(&raw, refusal.help(format!("write `\"{raw}\"`")));
                is_good = false;
                continue;
            }
            let optional = optional || param == Param::Optional;
            let spelling = spelling(parameter);
            let problems = self.problems.len();
            let value = self.parameter(parameter, depth, optional);
            if let Some(why) = value.as_ref().and_then(|value| param.check(value).err()) {
                self.refuse_value(&name, &spelling, param, &why);
            }
            is_good &= self.problems.len() == problems;
            values.push(value);
        }
        if !is_good || values.iter().any(Option::is_none) {
            return None;
        }
        match function.apply(&values) {
            Ok(value) => Some(value),
            Err(Failure::Missing(_)) => None,
            Err(Failure::Argument(_, why) | Failure::Whole(why)) => {
                let (_, help) = function.usage(Language::Template);
                let refusal = Refusal::new(Code::HelperValue, format!("`{name}`: {why}")).help(help);
                self.refuse(&name, refusal);
                None
            }
        }
    }

    /// Reports a value that a helper cannot use, where it stands.
    fn refuse_value(&mut self, helper: &str, spelling: &str, param: Param, why: &str) {
        let refusal = Refusal::new(Code::HelperValue, format!("`{helper}`: {why}"))
            .help(param.help(Language::Template));
        let quoted = spelling.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        let single = quoted.map(|text| format!("'{text}'"));
        let rest = self.text.get(self.cursor.byte..).unwrap_or_default();
        let piece =
            [Some(spelling), single.as_deref()].into_iter().flatten().find(|piece| rest.contains(*piece));
        self.refuse(piece.filter(|piece| !piece.is_empty()).unwrap_or(helper), refusal);
    }

    /// Checks `env "NAME"` and turns it into a name that the scope knows.
    fn env(&mut self, call: &HelperTemplate, optional: bool) -> Option<Parameter> {
        let [Parameter::Literal(Value::String(name))] = call.params.as_slice() else {
            self.refuse("env", usage("env"));
            return None;
        };
        if name.is_empty() || name.contains(|c: char| "[]={}".contains(c) || c.is_control()) {
            let refusal =
                Refusal::new(Code::UnknownVariable, format!("`{name}` cannot be a variable's name"));
            self.refuse("env", refusal);
            return None;
        }
        if self.known.env.contains_key(name) {
            self.found.env.push(name.clone());
        } else if !optional {
            let at = self.find(name);
            if self.known.env_required {
                let refusal = Refusal::new(
                    Code::UnknownVariable,
                    format!("the environment variable `{name}` is not set"),
                )
                .help(format!("set it, or give a default: `{{{{default (env \"{name}\") \"...\"}}}}`"));
                self.refuse(name, refusal);
            } else {
                if self.found.unset.iter().all(|(known, _)| known != name) {
                    self.found.unset.push((name.clone(), at));
                }
                self.found.is_open = true;
            }
        }
        Parameter::parse(&format!("@root.env.[{name}]")).ok()
    }

    /// Checks a name and gives its value if that is known now.
    fn path(&mut self, path: &Path, depth: usize, optional: bool) -> Option<Value> {
        let name = raw(path).to_owned();
        let Path::Relative((segments, _)) = path else {
            if depth == 0 {
                self.refuse(
                    &name,
                    Refusal::new(Code::UnknownName, format!("`{name}` has a meaning only inside `#each`")),
                );
            }
            return None;
        };
        let parts = parts(segments);
        let up = name.matches("../").count();
        let first = parts.first().map_or("", String::as_str);
        if name.starts_with("@root") || up >= depth {
            return self.root(&name, &parts, optional);
        }
        let of_item =
            name.starts_with("this") || name.starts_with('.') || self.locals.iter().any(|l| l == first);
        if !of_item && ["inputs", "steps", "each", "plan", "flow"].contains(&first) {
            let refusal = Refusal::new(
                Code::UnknownName,
                format!("inside `#each` and `#with`, `{name}` is looked for in the item"),
            )
            .help(format!("write `@root.{name}`"));
            self.refuse(&name, refusal);
        }
        None
    }

    fn root(&mut self, name: &str, parts: &[String], optional: bool) -> Option<Value> {
        let is_helper = name == SECRET && !self.here.admits_secrets();
        if is_helper || self.is_secret_input(parts) && !self.is_in_reference {
            self.refuse_secret(name);
            return None;
        }
        if parts.len() == 1 && (Function::named(name).is_some() || name == "env" || name == SECRET) {
            self.refuse(name, usage(name));
            return None;
        }
        if let [inputs, rest @ ..] = parts
            && inputs == "inputs"
        {
            self.found.inputs.push(rest.first().cloned().unwrap_or_default());
        }
        match resolve(parts, optional, self.here, self.known) {
            Ok(Meaning::Value(value)) => return Some(value),
            Ok(Meaning::Later) => self.found.is_open |= self.lacks_trial_value(parts),
            Ok(Meaning::Step(id)) => {
                let at = self.find(name);
                self.found.steps.push((id, at));
            }
            Ok(Meaning::Output { step, output }) => {
                let at = self.find(name);
                self.found.steps.push((step.clone(), at));
                let name = name.to_owned();
                self.found.outputs.push(OutputFound { step, output, name, has_default: optional, at });
                // What a run will give is not known before it has.
                self.found.is_open = true;
            }
            Err(refusal) => self.refuse(name, refusal),
        }
        None
    }

    fn lacks_trial_value(&self, parts: &[String]) -> bool {
        match parts {
            [inputs] if inputs == "inputs" => true,
            [inputs, name, ..] if inputs == "inputs" => self.known.open_inputs.contains(name),
            [each, ..] if each == "each" => self.known.is_row_open(),
            [steps, _, outputs, ..] => steps == "steps" && outputs == "outputs",
            _ => false,
        }
    }

    /// Reports a problem with a piece of the text behind the cursor.
    pub(super) fn refuse(&mut self, piece: &str, refusal: Refusal) {
        if self.problems.len() < PROBLEMS_MAX {
            let at = self.find(piece);
            self.problems.push(Problem { at, bytes: piece.len(), refusal });
        }
    }

    /// Returns where a piece stands behind the cursor.
    pub(super) fn find(&self, piece: &str) -> usize {
        let start = self.cursor.byte;
        let rest = self.text.get(start..).unwrap_or_default();
        rest.find(piece).map_or(start, |at| start + at)
    }
}

/// A place in a text that only moves forward, so that a long text is walked once.
struct Cursor {
    byte: usize,
    line: usize,
    column: usize,
}

impl Cursor {
    /// Moves to a line and column, both from 1; stays where that is not further on.
    fn advance(&mut self, text: &str, line: usize, column: usize) {
        let rest = text.get(self.byte..).unwrap_or_default();
        for c in rest.chars() {
            if (self.line, self.column) >= (line, column) {
                break;
            }
            self.byte += c.len_utf8();
            (self.line, self.column) =
                if c == '\n' { (self.line + 1, 1) } else { (self.line, self.column + 1) };
        }
    }
}

/// Returns the expression if the text is nothing but one.
pub(super) fn lone(template: &Template) -> Option<&HelperTemplate> {
    match template.elements.as_slice() {
        [TemplateElement::Expression(inline) | TemplateElement::HtmlExpression(inline)] => Some(inline),
        _ => None,
    }
}

pub(super) fn usage(name: &str) -> Refusal {
    let (message, help) = match Function::named(name) {
        Some(function) => function.usage(Language::Template),
        None if name == SECRET => (
            "`secret` takes one reference in quotes, or a name whose value is one".to_owned(),
            "write `{{secret \"env:NAME\"}}`, `\"file:PATH\"` or `\"keyvault:VAULT/NAME\"`".to_owned(),
        ),
        None => {
            ("`env` takes the name of a variable in quotes".to_owned(), "write `{{env \"NAME\"}}`".to_owned())
        }
    };
    Refusal::new(Code::HelperValue, message).help(help)
}

fn unknown_helper(name: &str) -> Refusal {
    let helpers = || Function::all().map(|(name, _)| name).chain(["env", SECRET]);
    let refusal = Refusal::new(Code::UnknownHelper, format!("there is no helper `{name}`"));
    let refusal = match words::nearest(name, helpers()) {
        Some(near) => refusal.label(format!("did you mean `{near}`?")),
        None => refusal,
    };
    refusal.help(format!("helpers are {}", words::list(helpers(), "and")))
}

/// Returns an inline expression as a parameter: its name, or its call in parentheses.
pub(super) fn as_parameter(inline: &HelperTemplate) -> Parameter {
    if inline.params.is_empty() && inline.hash.is_empty() {
        return match &inline.name {
            Parameter::Name(name) => Parameter::parse(name).unwrap_or_else(|_| inline.name.clone()),
            other => other.clone(),
        };
    }
    let call = Subexpression::new(inline.name.clone(), inline.params.clone(), inline.hash.clone());
    Parameter::Subexpression(call)
}

/// Returns a checked parameter as an expression.
pub(super) fn expression(parameter: &Parameter) -> Option<Expression> {
    match parameter {
        Parameter::Literal(value) => Some(Expression::Literal(value.clone())),
        Parameter::Path(Path::Relative((segments, _))) => Some(Expression::Name(parts(segments))),
        Parameter::Subexpression(call) => {
            let values = call.params()?.iter().map(expression).collect::<Option<_>>()?;
            Some(Expression::Call(Function::named(call.name())?, values))
        }
        _ => None,
    }
}

fn block_params(declared: Option<&BlockParam>) -> Vec<String> {
    let name = |parameter: &Parameter| parameter.as_name().map(str::to_owned);
    match declared {
        Some(BlockParam::Single(one)) => name(one).into_iter().collect(),
        Some(BlockParam::Pair((one, two))) => name(one).into_iter().chain(name(two)).collect(),
        _ => Vec::new(),
    }
}

/// Returns the parts of a name as it is written; none where it is not one.
pub(super) fn named(name: &str) -> Vec<String> {
    match Parameter::parse(name) {
        Ok(Parameter::Path(Path::Relative((segments, _)))) => parts(&segments),
        _ => Vec::new(),
    }
}

/// Returns the parts of a name, brackets taken off.
pub(super) fn parts(segments: &[PathSeg]) -> Vec<String> {
    let named = segments.iter().filter_map(|segment| match segment {
        PathSeg::Named(part) => Some(part.clone()),
        _ => None,
    });
    named.collect()
}

/// Returns a value as it is written, where that can be told.
fn spelling(parameter: &Parameter) -> String {
    match parameter {
        Parameter::Literal(value) => value.to_string(),
        Parameter::Path(path) => raw(path).to_owned(),
        Parameter::Subexpression(call) => call.name().to_owned(),
        _ => String::new(),
    }
}

/// Returns a name as it is written.
pub(super) fn raw(path: &Path) -> &str {
    match path {
        Path::Relative((_, raw)) | Path::Local((_, _, raw)) => raw,
    }
}
