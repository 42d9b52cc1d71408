//! What a value is known to be before a flow begins, for whoever checks it against what a pipeline takes.

use serde_json::Value;

use super::{ALL_INPUTS, Body, Form, Scope, Template};

/// What is known of a value before a flow begins.
#[derive(Clone, Debug, PartialEq)]
pub enum Preview {
    /// The value itself. Secrets stand in it as the templates that ask for them.
    Value(Value),
    /// It will be a text.
    Text,
    /// It will be a list.
    List,
    /// It will be a map.
    Map,
    /// Nothing.
    Open,
}

impl Template {
    /// Returns what is known of the value in a scope without steps and flow.
    ///
    /// What reads a step, or an input that is not given yet, is never taken for what stands in for it.
    pub fn preview(&self, scope: &Scope) -> Preview {
        let is_given = |name: &String| name == ALL_INPUTS || scope.inputs.contains_key(name);
        if self.reads.is_empty()
            && self.inputs.iter().all(is_given)
            && let Ok(value) = self.render(scope)
        {
            return Preview::Value(value);
        }
        match &self.body {
            Body::Plain(value) => Preview::Value(value.clone()),
            Body::Open(Form::Text(_) | Form::Sealed(_), _) => Preview::Text,
            Body::List(_) => Preview::List,
            Body::Map(_) => Preview::Map,
            Body::Open(Form::Lone(_), _) => Preview::Open,
        }
    }

    /// Says whether the value is written down as it is, without any template.
    pub fn is_written(&self) -> bool {
        matches!(self.body, Body::Plain(_))
    }
}
