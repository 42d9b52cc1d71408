//! Handlebars itself: strict, without HTML escaping, with our helpers.
//!
//! Every inline expression of a text has been rewritten to a call of [`TEXT`], which insists on a
//! value that a text can hold.

use std::sync::LazyLock;

use handlebars::{
    Context, Handlebars, Helper, HelperDef, RenderContext, RenderError, RenderErrorReason, Renderable,
    ScopedJson, no_escape,
};
use serde_json::Value;

use super::Scope;
use super::expression::sentence as helper_sentence;
use super::parse::named;
use crate::plan::function::{Failure, Function};

/// The helper that turns the value of an inline expression into text.
pub(super) const TEXT: &str = "__text";

/// The helper that insists on the value of a block: strict mode alone takes a missing one for false.
pub(super) const THERE: &str = "__there";

static ENGINE: LazyLock<Handlebars<'static>> = LazyLock::new(|| {
    let mut engine = Handlebars::new();
    engine.set_strict_mode(true);
    engine.register_escape_fn(no_escape);
    engine.register_helper(TEXT, Box::new(Text));
    engine.register_helper(THERE, Box::new(There));
    for (name, function) in Function::all() {
        engine.register_helper(name, Box::new(function));
    }
    engine
});

/// Returns the names of a scope in the engine's form.
pub(super) fn context(scope: &Scope) -> Result<Context, String> {
    Context::wraps(scope.data()).map_err(|error| error.to_string())
}

/// Renders a text; fails with a sentence that names the cause. `context` is `scope` in the engine's form.
pub(super) fn render(
    template: &handlebars::Template,
    context: &Context,
    scope: &Scope,
) -> Result<String, String> {
    let mut state = RenderContext::new(None);
    template.renders(&ENGINE, context, &mut state).map_err(|error| sentence(&error, scope))
}

fn sentence(error: &RenderError, scope: &Scope) -> String {
    match error.reason() {
        RenderErrorReason::MissingVariable(Some(name)) => scope.no_value(name, &named(name)),
        RenderErrorReason::MissingVariable(None) => "a name in the template has no value".to_owned(),
        RenderErrorReason::Other(words) => words.clone(),
        RenderErrorReason::InvalidParamType(wanted) => {
            format!("`#each` and `#with` need a list or an object, this is no {wanted}")
        }
        other => other.to_string(),
    }
}

/// Gives the value of an inline expression if a text can hold it.
struct Text;

impl HelperDef for Text {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let other = |words: String| Err(RenderErrorReason::Other(words).into());
        let Some(given) = helper.param(0) else { return other("an expression is empty".to_owned()) };
        if given.is_value_missing() {
            return Err(RenderErrorReason::MissingVariable(given.relative_path().cloned()).into());
        }
        let name = given.relative_path().map_or("{{...}}", String::as_str);
        match given.value() {
            Value::Array(_) => other(in_text(name, "a list")),
            Value::Object(_) => other(in_text(name, "an object")),
            Value::Null => other(format!("`{name}` is null, which has no text")),
            value => Ok(ScopedJson::Derived(value.clone())),
        }
    }
}

/// Gives a value that is there.
struct There;

impl HelperDef for There {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let given = helper.param(0);
        if let Some(given) = given.filter(|given| !given.is_value_missing()) {
            return Ok(ScopedJson::Derived(given.value().clone()));
        }
        let name = given.and_then(|given| given.relative_path()).cloned();
        Err(RenderErrorReason::MissingVariable(name).into())
    }
}

/// Returns the sentence for a list or object inside a longer text.
pub(super) fn in_text(name: &str, kind: &str) -> String {
    format!("`{name}` is {kind} and cannot stand inside a longer text")
}

impl HelperDef for Function {
    fn call_inner<'reg: 'rc, 'rc>(
        &self,
        helper: &Helper<'rc>,
        _: &'reg Handlebars<'reg>,
        _: &'rc Context,
        _: &mut RenderContext<'reg, 'rc>,
    ) -> Result<ScopedJson<'rc>, RenderError> {
        let values: Vec<Option<Value>> = helper
            .params()
            .iter()
            .map(|given| (!given.is_value_missing()).then(|| given.value().clone()))
            .collect();
        self.apply(&values).map(ScopedJson::Derived).map_err(|failure| match failure {
            Failure::Missing(n) => {
                let name = helper.param(n).and_then(|given| given.relative_path()).cloned();
                RenderErrorReason::MissingVariable(name).into()
            }
            failure => RenderErrorReason::Other(helper_sentence(*self, &failure)).into(),
        })
    }
}
