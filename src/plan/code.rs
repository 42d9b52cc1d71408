//! Every diagnostic code in one table: its name in the code, what the reader sees, what it means.
//!
//! E01xx text and YAML, E02xx keys and types, E03xx the graph, E04xx templates, E05xx inputs, E06xx the plan
//! against the definitions of its pipelines, E07xx its tests; N0xxx notes, W0xxx warnings. A code, once released, keeps its meaning.

use super::explanation::Explanation;

macro_rules! codes {
    ($($name:ident $id:literal $meaning:literal)*) => {
        /// What kind of problem a diagnostic reports.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Code {
            $(#[doc = $meaning] $name,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the code as the reader sees it: `E0102`.
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// Returns what the code means, as a fragment of one line.
            pub const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// Returns what `synflow explain` says of the code. A code without its file does not compile.
            pub fn explanation(self) -> Explanation {
                let text = match self {
                    $(Self::$name => include_str!(concat!("explain/", $id, ".md")),)*
                };
                Explanation::read(text)
            }
        }
    };
}

codes! {
    NotUtf8            "E0101" "the file is not UTF-8"
    TooLarge           "E0102" "the file is larger than a plan may be"
    Empty              "E0103" "the file holds no plan"
    Syntax             "E0104" "the text is not valid YAML"
    Tab                "E0105" "a tab stands where YAML allows only spaces"
    UnquotedTemplate   "E0106" "a template is not quoted"
    DuplicateKey       "E0107" "a key stands twice in one map"
    SeveralDocuments   "E0108" "the file holds several YAML documents"
    TooDeep            "E0109" "values are nested too deeply"
    AliasBomb          "E0110" "anchors and aliases expand to too much"
    BadAlias           "E0111" "an alias or merge key cannot be resolved"
    BadKey             "E0112" "a key is not plain text"
    BadTag             "E0113" "a YAML tag is not supported here"
    Indentation        "E0114" "a line is not indented as it should be"
    Invisible          "E0115" "an invisible character stands where it changes the meaning"
    MergeMarks         "E0116" "a merge was not finished in the file"
    ForeignMarks       "E0117" "the file holds the marks of a patch or of Markdown"

    UnknownKey         "E0201" "the key is not known here"
    ForeignKey         "E0202" "the key is another tool's word"
    MissingKey         "E0204" "a required key is missing"
    WrongType          "E0205" "the value has the wrong type"
    WrongVersion       "E0206" "the plan's version is not supported"
    BadStepId          "E0207" "the text cannot be a step's id"
    BadName            "E0208" "the text cannot be a name"
    BadDuration        "E0209" "the text is not a duration"
    OutOfRange         "E0210" "the number is outside what is allowed"
    UnknownWord        "E0211" "the word is not one of those allowed"
    EmptyCollection    "E0212" "a list or map that needs an entry has none"
    TooManySteps       "E0213" "the plan has more steps than allowed"
    KeysExclude        "E0214" "two keys exclude each other"
    UnknownWorkspace   "E0215" "the workspace is not declared"
    BadEndpoint        "E0216" "the text is not an endpoint that can be used"
    NoJson             "E0217" "the value cannot be sent as JSON"
    BadTenant          "E0219" "the text is not a tenant"
    KeyNotForType      "E0220" "the key does not go with the input's type"
    BadPattern         "E0221" "the text is not a regular expression that can be used"
    EmptyRange         "E0222" "`min` is above `max`"
    NoTemplateHere     "E0223" "a template stands where only a plain value may"
    TooManyOutputs     "E0227" "a step declares more outputs than allowed"
    NeedsForEach       "E0230" "the key belongs to a step with `for_each` or `matrix`"
    BadIterationKey    "E0231" "the text cannot be an iteration's key"
    IterationTwice     "E0232" "two iterations have the same key"
    NoIterationKey     "E0233" "the iterations have no key of their own"
    UnknownPool        "E0234" "the pool is not declared"
    PoolTooSmall       "E0235" "the step needs more of a pool than there is"
    NoIterations       "E0236" "the text cannot be turned into iterations"
    BadDeadline        "E0240" "the text is not a deadline"
    UnknownZone        "E0241" "the time zone is not known"
    BadHookUrl         "E0242" "the address of a webhook cannot be used"
    BadHeader          "E0243" "the header cannot be sent"

    UnknownStep        "E0301" "a step waits for one that does not exist"
    SelfEdge           "E0302" "a step waits for itself"
    DuplicateEdge      "E0303" "a step names the same upstream twice"
    Cycle              "E0304" "steps wait for each other"
    NotUpstream        "E0305" "a template or condition reads a step that is not upstream"
    UnknownIteration   "E0306" "a step waits for an iteration that does not exist"
    WaitsForFinal      "E0307" "a step waits for one with `finally`"

    TemplateSyntax     "E0401" "the template cannot be read"
    UnknownName        "E0402" "the template uses a name that is not known"
    UnknownHelper      "E0403" "the template calls a helper that is not known"
    ListInText         "E0404" "a list or object stands inside a longer text"
    UnknownVariable    "E0405" "an environment variable is not set"
    NameNotHere        "E0406" "the name may not be used in this place"
    UnknownTemplateStep "E0407" "the template names a step that does not exist"
    RenderFailed       "E0408" "the template cannot be evaluated"
    WrongResult        "E0409" "the template gives a value of the wrong type"
    HelperValue        "E0410" "a helper is given what it cannot use"
    ConditionSyntax    "E0411" "the condition cannot be read"
    ConditionSpelling  "E0412" "the condition is written as in another language"
    ConditionBraces    "E0413" "a condition stands in braces"
    ConditionTypes     "E0414" "the condition compares values of different types"
    ConditionNoTruth   "E0415" "the condition, or a part of it, is neither true nor false"
    NameSpelling       "E0416" "a name that is no plain word is not written as it must be here"
    ConditionTooLarge  "E0417" "the condition is too long or nested too deeply"
    ConditionWord      "E0418" "the condition compares with a word that the value never is"
    BadReference       "E0425" "the text is not a reference to a secret"
    SecretNotHere      "E0426" "a secret may not be used in this place"
    SecretInHelper     "E0427" "a secret is given to a helper or a block"
    SecretInTheOpen    "E0428" "a variable is used as a secret and in the open"
    BadOutput          "E0435" "an output is not a value of the step's run"
    UnknownOutput      "E0436" "the template reads an output that the step does not declare"
    NeverOutput        "E0437" "the template reads an output of a step that makes no run"

    InputMissing       "E0501" "a required input is not given"
    InputUnknown       "E0502" "a value is given for an input the plan does not declare"
    InputUnreadable    "E0503" "a value does not fit the input's type"
    NotOneOf           "E0504" "a value is not one of those that the input allows"
    NoMatch            "E0505" "a value does not match the input's pattern"
    OutsideRange       "E0506" "a value is below the input's `min` or above its `max`"
    InputFile          "E0507" "an input's file cannot be used"
    NoReference        "E0508" "a value is not a reference to a secret"
    UnknownEnvironment "E0509" "the environment is not declared"

    NoPipeline         "E0601" "the workspace has no pipeline of this name"
    UnknownParameter   "E0602" "the pipeline has no parameter of this name"
    ParameterMissing   "E0603" "a parameter that the pipeline requires is not given"
    ParameterType      "E0604" "the value does not fit the parameter's type"
    OpenSecureString   "E0605" "the value of a `SecureString` is not a secret"
    TooManyParameters  "E0606" "there are more parameters than a pipeline may have"
    UnknownActivity    "E0607" "the pipeline has no activity of this name"
    NoReturnValue      "E0608" "the pipeline does not return what the output reads"
    BadDefinition      "E0609" "the file is not the definition of a pipeline"
    TestStranger       "E0701" "a test names a step or output that the plan does not have"
    TestAssumption     "E0702" "a test assumes what a step cannot do"
    TestEmpty          "E0703" "a test expects nothing"
    TestBound          "E0704" "the text is not a bound of a length of time"
    TestTime           "E0705" "the text is not a time at which a flow can begin"

    LiteralExpression  "N0101" "a value that looks like a Synapse expression is sent as text"
    LeadingZero        "N0102" "a value that looks like a number is sent as text"

    UnquotedTime       "N0240" "other readers of YAML take the time for a number"

    InputOpen          "N0501" "a required input is not given yet"
    VariableOpen       "N0502" "an environment variable is not set yet"
    FileElsewhere      "N0503" "an input's file lies outside the plan's folder"

    MayQueue           "N0601" "runs of the pipeline may wait for each other in Synapse"

    TypographicQuote   "W0101" "a typographic quote quotes nothing"
    TemplateInKey      "W0102" "a template in a key is sent as text"

    NoEffect           "W0201" "the key changes nothing here"
    WrittenSecret      "W0240" "a secret is written in the plan"

    ConditionConstant  "W0410" "the condition is the same in every flow"
    SecretsUncompared  "W0425" "runs cannot be compared by their secrets"
    UnsureOutput       "W0435" "an output may not be there when it is read"

    DoubtfulValue      "W0601" "the value is of another type than the parameter, but reads as one of it"
    SecretShown        "W0602" "a secret is given to a parameter that is no `SecureString`"
    NoSingleOutput     "W0603" "the activity has no output that could be read"
}

impl Code {
    /// Returns the code with this id in any case: `E0201`, `e0201`, or `error[E0201]` as a message has it.
    pub fn from_id(text: &str) -> Option<Self> {
        let inner = text.split_once('[').map_or(text, |(_, rest)| rest.trim_end_matches([']', ':']));
        Self::ALL.iter().copied().find(|code| code.id().eq_ignore_ascii_case(inner.trim()))
    }

    /// Says whether it is about a plan and the definitions of its pipelines, not about the plan alone.
    pub fn is_contract(self) -> bool {
        self.id()[1..].starts_with("06")
    }

    /// Returns how grave a problem with this code is: its first letter says so.
    pub const fn severity(self) -> Severity {
        match self.id().as_bytes()[0] {
            b'E' => Severity::Error,
            b'W' => Severity::Warning,
            _ => Severity::Note,
        }
    }
}

/// How grave a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The plan cannot run.
    Error,
    /// The plan can run, but probably not as meant.
    Warning,
    /// Something worth knowing.
    Note,
}

impl Severity {
    /// Returns the word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Code, Severity};

    #[test]
    fn every_code_is_one_of_a_kind_and_well_formed() {
        for (n, code) in Code::ALL.iter().enumerate() {
            let (letter, digits) = code.id().split_at(1);
            assert!("EWN".contains(letter), "{}", code.id());
            assert!(digits.len() == 4 && digits.bytes().all(|b| b.is_ascii_digit()), "{}", code.id());
            assert!(!code.meaning().ends_with('.'), "{}", code.meaning());
            for other in &Code::ALL[n + 1..] {
                assert!(code.id() < other.id(), "{} stands before {}", code.id(), other.id());
            }
        }
    }

    #[test]
    fn the_letter_tells_the_severity() {
        assert_eq!(Code::NotUtf8.severity(), Severity::Error);
        assert_eq!(Code::LiteralExpression.severity(), Severity::Note);
    }
}
