//! "Did you mean": the names nearest to one that is not known.

/// Most names suggested.
const MOST: usize = 3;

/// The known names nearest to `name`, the nearest first, at most three. Names are near if few
/// letters would have to be changed, for their length; upper and lower case differ little.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let limit = limit(name);
    let lower = name.to_lowercase();
    let letters = Letters::of(name);
    let mut near: Vec<(usize, usize, &str)> = known
        .into_iter()
        .filter(|k| k.len().abs_diff(name.len()) <= limit)
        .filter(|k| letters.at_least(&Letters::of(k)) <= limit)
        .map(|k| (strsim::osa_distance(&lower, &k.to_lowercase()), k.len().abs_diff(name.len()), k))
        .filter(|&(distance, ..)| distance <= limit)
        .collect();
    near.sort_unstable();
    near.dedup();
    let best = near.first().map_or(0, |&(distance, ..)| distance);
    near.into_iter().take_while(|&(d, ..)| d <= best + 1).take(MOST).map(|(.., k)| k).collect()
}

/// "did you mean `a` or `b`?", if there are names near.
pub fn did_you_mean<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let names: Vec<String> = nearest(name, known).iter().map(|n| format!("`{n}`")).collect();
    match names.as_slice() {
        [] => None,
        [one] => Some(format!("did you mean {one}?")),
        [rest @ .., last] => Some(format!("did you mean {} or {last}?", rest.join(", "))),
    }
}

/// How often each letter occurs, cases and some bytes thrown together: far cheaper to compare
/// than two names, of which there may be tens of thousands.
struct Letters([u8; 32]);

impl Letters {
    fn of(name: &str) -> Self {
        let mut counts = [0u8; 32];
        for byte in name.bytes() {
            let count = &mut counts[usize::from(byte % 32)];
            *count = count.saturating_add(1);
        }
        Letters(counts)
    }

    /// A lower bound of the number of letters that have to be changed: a replaced letter makes
    /// two counts differ by one, an added or missing one a single count.
    fn at_least(&self, other: &Self) -> usize {
        let pairs = self.0.iter().zip(&other.0);
        let differences: usize = pairs.map(|(a, b)| usize::from(a.abs_diff(*b))).sum();
        differences.div_ceil(2)
    }
}

/// How many letters may differ.
fn limit(name: &str) -> usize {
    match name.chars().count() {
        0 => 0,
        1..=3 => 1,
        4..=7 => 2,
        n => n / 4 + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_near_names() {
        let known =
            ["printf", "print", "strftime", "str", "sum", "sys_enter_openat", "sys_enter_open"];
        assert_eq!(nearest("prinft", known), ["printf", "print"]);
        assert_eq!(nearest("Printf", known), ["printf", "print"]);
        assert_eq!(nearest("sys_enter_opneat", known)[0], "sys_enter_openat");
        assert!(nearest("hist", known).is_empty());
        assert_eq!(did_you_mean("smu", known).as_deref(), Some("did you mean `sum`?"));
        assert_eq!(did_you_mean("zzz", known), None);
    }
}
