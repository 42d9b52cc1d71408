//! Points in time as the service writes them: seven fraction digits, trailing zeros dropped.

use serde_json::Value;

use crate::time::Timestamp;

/// Returns `at` as the service writes it. `grain` fills the four digits below the millisecond, so that times
/// look as they do on the wire and records made in one millisecond keep their order as text.
pub(super) fn stamp(at: Timestamp, grain: usize) -> String {
    let ms = at.epoch_ms().rem_euclid(1000);
    let fraction = format!("{ms:03}{:04}", grain % 10_000);
    let fraction = fraction.trim_end_matches('0');
    let seconds = at.to_jiff().strftime("%Y-%m-%dT%H:%M:%S");
    if fraction.is_empty() { format!("{seconds}Z") } else { format!("{seconds}.{fraction}Z") }
}

/// Returns a point that may not be there yet, as JSON.
pub(super) fn stamp_or_null(at: Option<Timestamp>, grain: usize) -> Value {
    at.map_or(Value::Null, |at| Value::String(stamp(at, grain)))
}

/// Returns `at` in whole seconds, as `lastPublishTime` has it.
pub(super) fn stamp_seconds(at: Timestamp) -> String {
    at.to_jiff().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns `at` as HTTP's Date header has it.
pub(super) fn http_date(at: Timestamp) -> String {
    at.to_jiff().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests {
    use super::{http_date, stamp};
    use crate::time::Timestamp;

    #[test]
    fn drops_trailing_zeros() {
        let check = |ms: i64, grain: usize, want: &str| {
            assert_eq!(stamp(Timestamp::from_epoch_ms(ms), grain), want);
        };
        check(1_631_603_731_769, 6935, "2021-09-14T07:15:31.7696935Z");
        check(1_631_603_715_596, 5000, "2021-09-14T07:15:15.5965Z");
        check(1_631_603_715_500, 0, "2021-09-14T07:15:15.5Z");
        check(1_631_603_715_000, 0, "2021-09-14T07:15:15Z");
    }

    #[test]
    fn writes_http_dates() {
        let at = Timestamp::from_epoch_ms(1_631_603_733_000);
        assert_eq!(http_date(at), "Tue, 14 Sep 2021 07:15:33 GMT");
    }
}
