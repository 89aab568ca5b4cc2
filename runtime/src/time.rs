//! Wall-clock time in strftime(3) formats, in the C locale.

use jiff::Timestamp;
use jiff::fmt::strtime::{BrokenDownTime, Config, PosixCustom};
use jiff::tz::TimeZone;

/// What prints where a time cannot be computed.
pub const UNKNOWN: &str = "(?)";

/// Conversions of strftime(3). Anything else after `%` is printed as it stands, as glibc does.
const CONVERSIONS: &str = "aAbBcCdDeFgGhHIjklmMnpPrRsStTuUVwWxXyYzZ";

/// Formats a point in time as the C library's strftime would in the C locale.
pub fn strftime(format: &str, time: Timestamp, zone: &TimeZone) -> String {
    let zoned = time.to_zoned(zone.clone());
    let time = BrokenDownTime::from(&zoned);
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        let (text, from) = rest.split_at(at);
        out.push_str(text);
        let (spec, after) = split_conversion(from);
        match spec {
            Some(spec) => convert(&spec, &time, &mut out),
            None => out.push_str(from.get(..from.len() - after.len()).unwrap_or_default()),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

/// As [`strftime`], with bpftrace's `%f`, `%k` and `%l`: microseconds, nanoseconds and
/// milliseconds of the second.
pub fn strftime_with_fractions(format: &str, time: Timestamp, zone: &TimeZone) -> String {
    let nanoseconds = time.as_nanosecond().rem_euclid(1_000_000_000);
    let format = format
        .replace("%f", &format!("{:06}", nanoseconds / 1_000))
        .replace("%k", &format!("{nanoseconds:09}"))
        .replace("%l", &format!("{:03}", nanoseconds / 1_000_000));
    strftime(&format, time, zone)
}

/// Splits `%...` into a conversion, absent if it is none, and what follows. The modifiers `E`
/// and `O` mean nothing in the C locale and are left out.
fn split_conversion(from: &str) -> (Option<String>, &str) {
    let body = from.strip_prefix('%').unwrap_or(from);
    let flags = body.find(|c: char| !"_-0^#".contains(c) && !c.is_ascii_digit());
    let (flags, letters) = body.split_at(flags.unwrap_or(body.len()));
    let mut chars = letters.chars();
    let mut letter = chars.next();
    if matches!(letter, Some('E' | 'O')) {
        letter = chars.next();
    }
    match letter {
        Some('%') => (Some("%%".into()), chars.as_str()),
        Some(c) if CONVERSIONS.contains(c) => (Some(format!("%{flags}{c}")), chars.as_str()),
        // `%` and what it was meant for is text.
        _ => (None, chars.as_str()),
    }
}

fn convert(spec: &str, time: &BrokenDownTime, out: &mut String) {
    let config = Config::new().custom(PosixCustom::new()).lenient(true);
    let mut text = String::new();
    match time.format_with_config(&config, spec, &mut jiff::fmt::StdFmtWrite(&mut text)) {
        Ok(()) => out.push_str(&text),
        Err(_) => out.push_str(spec),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64, nanoseconds: i32) -> Timestamp {
        Timestamp::new(seconds, nanoseconds).expect("in range")
    }

    #[test]
    fn as_glibc_prints_in_the_c_locale() {
        let time = at(1_795_386_674, 861_561_989);
        let text = strftime(
            "%F %T %Z %z %c|%x|%X|%r|%h|%e|%P|%G %V|%u %U %C %y %j|%D|%R|%n|%t|%E|%Ey|%Od|%+|%10Y|\
             %_d|%-d|%^a|%%A %Q %f %",
            time,
            &TimeZone::UTC,
        );
        let expected = "2026-11-22 22:31:14 UTC +0000 Sun Nov 22 22:31:14 2026|11/22/26|22:31:14|\
                        10:31:14 PM|Nov|22|pm|2026 47|7 47 20 26 326|11/22/26|22:31|\n|\t|%E|26|22|\
                        %+|0000002026|22|22|SUN|%A %Q %f %";
        assert_eq!(text, expected);
    }

    #[test]
    fn fractions_of_a_second() {
        let time = at(1_795_386_674, 1_561_089);
        let text = strftime_with_fractions("%s.%f %k %l", time, &TimeZone::UTC);
        assert_eq!(text, "1795386674.001561 001561089 001");
        assert_eq!(strftime("%k|%l|%I", at(3 * 3600, 0), &TimeZone::UTC), " 3| 3|03");
    }

    #[test]
    fn zones() {
        let zone = TimeZone::get("Europe/Istanbul").unwrap_or(TimeZone::fixed(jiff::tz::offset(3)));
        assert_eq!(strftime("%H:%M %z", at(0, 0), &zone).len(), 11);
        let fixed = TimeZone::fixed(jiff::tz::offset(-5));
        assert_eq!(strftime("%H:%M %z ü", at(0, 0), &fixed), "19:00 -0500 ü");
    }
}
