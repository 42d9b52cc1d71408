//! References to secrets: `env:NAME`, `file:PATH` and `keyvault:VAULT/NAME`. Only their form is known here.

/// The forms, for a help line.
pub(super) const FORMS: &str = "`env:SALES_API_KEY`, `file:PATH` or `keyvault:VAULT/NAME`";

/// Checks that a text is a reference. Says in half a sentence why it is none, without a word of the text: it may be
/// the secret itself.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
    match text.split_once(':') {
        Some(("env", name)) => {
            let fits = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
                && !name.starts_with(|c: char| c.is_ascii_digit());
            if name.is_empty() {
                Err("`env:` names no variable")
            } else if !fits {
                Err("a variable's name has letters, digits and `_` only")
            } else {
                Ok(())
            }
        }
        Some(("file", path)) => {
            if path.trim().is_empty() || path.chars().any(char::is_control) {
                Err("`file:` names no file")
            } else {
                Ok(())
            }
        }
        Some(("keyvault", rest)) => match rest.split_once('/') {
            None => Err("`keyvault:` takes a vault and a secret's name with a `/` between them"),
            Some((vault, _)) if !(3..=24).contains(&vault.len()) || !vault.bytes().all(is_plain) => {
                Err("a vault's name has 3 to 24 letters, digits and `-`")
            }
            Some((_, name)) if !(1..=127).contains(&name.len()) || !name.bytes().all(is_plain) => {
                Err("a secret's name in a vault has 1 to 127 letters, digits and `-`")
            }
            Some(_) => Ok(()),
        },
        _ => Err("it does not begin with `env:`, `file:` or `keyvault:`"),
    }
}

#[cfg(test)]
mod tests {
    use super::check;

    #[test]
    fn knows_references_from_secrets() {
        for good in ["env:KEY", "env:_a1", "file:/run/secrets/key", "file:a b", "keyvault:kv-sales/api-key"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        let bad = [
            "",
            "hunter2",
            "env",
            "env:",
            "env:1A",
            "env:MY KEY",
            "ENV:KEY",
            "file:",
            "file: ",
            "file:a\nb",
            "keyvault:kv",
            "keyvault:kv/x",
            "keyvault:kv-sales/",
            "keyvault:kv_sales/key",
            "keyvault:kv-sales/a/b",
            "https://kv-sales.vault.azure.net/secrets/key",
        ];
        for bad in bad {
            let why = check(bad).expect_err("it is none");
            assert!(bad.len() < 6 || !why.contains(bad), "{bad}: {why}");
        }
    }
}
