//! Base64 in the two alphabets that tokens and certificates use (RFC 4648).

const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Writes bytes in the URL-safe alphabet, without padding.
pub(super) fn encode_url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let padded = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let bits = u32::from_be_bytes([0, padded[0], padded[1], padded[2]]);
        for place in 0..=chunk.len() {
            let index = (bits >> (18 - 6 * place)) & 0x3f;
            text.push(char::from(URL_SAFE[index as usize]));
        }
    }
    text
}

/// Reads either alphabet, with or without padding and line breaks; nothing for anything else.
pub(super) fn decode(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u32);
    for letter in text.bytes().filter(|letter| !letter.is_ascii_whitespace() && *letter != b'=') {
        let plain = match letter {
            b'+' => b'-',
            b'/' => b'_',
            other => other,
        };
        let value = URL_SAFE.iter().position(|known| *known == plain)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    (count < 6).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::{decode, encode_url};

    #[test]
    fn writes_and_reads_what_the_standard_shows() {
        let check = |plain: &str, text: &str| {
            assert_eq!(encode_url(plain.as_bytes()), text.trim_end_matches('='), "{plain}");
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()), "{text}");
        };
        check("", "");
        check("f", "Zg==");
        check("fo", "Zm8=");
        check("foo", "Zm9v");
        check("foob", "Zm9vYg==");
        check("foobar", "Zm9vYmFy");
    }

    #[test]
    fn reads_both_alphabets_and_nothing_else() {
        assert_eq!(decode("-_8"), Some(vec![0xfb, 0xff]));
        assert_eq!(decode("+/\n8="), Some(vec![0xfb, 0xff]));
        assert_eq!(encode_url(&[0xfb, 0xff]), "-_8");
        assert_eq!(decode("a"), None);
        assert_eq!(decode("ab!d"), None);
    }
}
