//! The emulator's own randomness: a seeded generator, so that the same script makes the same ids and faults.

/// `SplitMix64`: small, fast, and the same everywhere.
#[derive(Clone, Debug)]
pub(super) struct Generator {
    state: u64,
}

impl Generator {
    /// Returns a generator for `seed`, told apart from others of the same seed by `name`.
    pub(super) fn new(seed: u64, name: &str) -> Self {
        Self { state: seed ^ digest(name.as_bytes()) }
    }

    /// Returns the next number.
    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns whether a throw of this probability succeeds.
    pub(super) fn chance(&mut self, probability: f64) -> bool {
        // 53 bits are what a float holds exactly.
        let throw = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        throw < probability
    }

    /// Returns a version-4 GUID in lower case with dashes.
    pub(super) fn guid(&mut self) -> String {
        let bits = (u128::from(self.next()) << 64) | u128::from(self.next());
        uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid().to_string()
    }

    /// Returns 32 hexadecimal digits.
    pub(super) fn hex(&mut self) -> String {
        format!("{:016x}{:016x}", self.next(), self.next())
    }
}

/// Returns a number for `bytes`: FNV-1a.
pub(super) fn digest(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Reads a GUID of 32 digits, dashed or not, and returns it dashed and in lower case.
pub(super) fn dashed(text: &str) -> Option<String> {
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    let plain = digits == 32 && (text.len() == 32 || text.len() == 36);
    let parsed = if plain { uuid::Uuid::try_parse(text).ok() } else { None };
    parsed.map(|guid| guid.hyphenated().to_string())
}

#[cfg(test)]
mod tests {
    use super::{Generator, dashed};

    #[test]
    fn the_same_seed_makes_the_same_ids() {
        let (mut one, mut two) = (Generator::new(1, "a"), Generator::new(1, "a"));
        assert_eq!(one.guid(), two.guid());
        assert_ne!(one.guid(), Generator::new(2, "a").guid());
        assert_ne!(Generator::new(1, "a").hex(), Generator::new(1, "b").hex());
    }

    #[test]
    fn chances_are_met() {
        let mut generator = Generator::new(3, "");
        let hits = (0..10_000).filter(|_| generator.chance(0.25)).count();
        assert!((2_300..2_700).contains(&hits), "{hits}");
        assert!(!generator.chance(0.0));
        assert!(generator.chance(1.0));
    }

    #[test]
    fn writes_dashes_into_ids() {
        let check = |text: &str, want: Option<&str>| assert_eq!(dashed(text).as_deref(), want, "{text}");
        check("a9f1db9c8fc7e1b7f9e3e4eeda42f518", Some("a9f1db9c-8fc7-e1b7-f9e3-e4eeda42f518"));
        check("31F1BC88-C715-4CD9-B31F-73E51DA2E079", Some("31f1bc88-c715-4cd9-b31f-73e51da2e079"));
        check("{31f1bc88-c715-4cd9-b31f-73e51da2e079}", None);
        check("someGuid", None);
        check("", None);
    }
}
