//! What a script says of Key Vaults: the secrets of each, by name.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::{Deserialize, Deserializer, de};

/// The secrets of every vault, by the vault's name and theirs.
#[derive(Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Vaults(pub BTreeMap<String, BTreeMap<String, SecretScript>>);

/// One secret: its value alone, or a map that says more. `Debug` hides it.
#[derive(Clone)]
pub struct SecretScript {
    /// The secret itself.
    pub value: String,
    /// The id of its version, 32 hexadecimal digits; one is made up if it does not say.
    pub version: Option<String>,
    /// Whether it may be read at all.
    pub enabled: bool,
    /// Whether the caller lacks the permission to read it.
    pub forbidden: bool,
}

impl fmt::Debug for Vaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl fmt::Debug for SecretScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SecretScript").finish_non_exhaustive()
    }
}

impl<'de> Deserialize<'de> for SecretScript {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Long {
            #[serde(default)]
            value: String,
            version: Option<String>,
            #[serde(default = "yes")]
            enabled: bool,
            #[serde(default)]
            forbidden: bool,
        }

        fn yes() -> bool {
            true
        }

        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = SecretScript;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a secret's text, or a map with `value`, `version`, `enabled` and `forbidden`")
            }

            fn visit_str<E: de::Error>(self, value: &str) -> Result<SecretScript, E> {
                Ok(SecretScript { value: value.to_owned(), version: None, enabled: true, forbidden: false })
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<SecretScript, A::Error> {
                let Long { value, version, enabled, forbidden } =
                    Long::deserialize(MapAccessDeserializer::new(map))?;
                Ok(SecretScript { value, version, enabled, forbidden })
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use crate::emulator::model::script::Script;

    #[test]
    fn reads_secrets_in_both_forms() {
        let script = Script::parse(
            "secrets:\n  contoso:\n    a: word\n    b: { value: other, enabled: false }\n    c: { forbidden: true }\n",
        )
        .expect("this is a script");
        let secrets = &script.secrets.0["contoso"];
        assert_eq!((secrets["a"].value.as_str(), secrets["a"].enabled), ("word", true));
        assert_eq!((secrets["b"].value.as_str(), secrets["b"].enabled), ("other", false));
        assert!(secrets["c"].forbidden);
        let shown = format!("{script:?}");
        assert!(!shown.contains("word") && !shown.contains("other"), "{shown}");
        for wrong in ["secrets: { contoso: { a: { valeu: x } } }", "secrets: { contoso: [a] }"] {
            let error = Script::parse(wrong).expect_err(wrong);
            assert_eq!(error.line, 1, "{error}");
        }
    }
}
