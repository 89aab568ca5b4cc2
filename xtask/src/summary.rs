//! Which live test ran where, and how it went.

use std::collections::BTreeMap;

/// How a test went in one place.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It passed, with what it noted.
    Ok(String),
    /// It failed, with what it said.
    Failed(String),
    /// The place lacks a feature, named.
    Missing(String),
}

/// Everything that was run, by place.
#[derive(Default)]
pub struct Summary {
    /// Places in the order in which they were added.
    places: Vec<String>,
    /// Tests in the order in which they were first seen.
    tests: Vec<String>,
    outcomes: BTreeMap<(String, String), Outcome>,
    /// Parts that could not run at all, or not to their end, with the reason.
    broken: Vec<(String, String)>,
    hermetic: Option<(u64, u64)>,
}

impl Summary {
    /// Notes how many hermetic tests passed and failed.
    pub fn add_hermetic(&mut self, passed: u64, failed: u64) {
        self.hermetic = Some((passed, failed));
    }

    /// Makes a column for `place`, even if nothing runs there.
    pub fn add_place(&mut self, place: &str) {
        self.places.push(place.to_owned());
    }

    /// Notes how a test went.
    pub fn add(&mut self, place: &str, test: &str, outcome: Outcome) {
        if !self.tests.iter().any(|known| known == test) {
            self.tests.push(test.to_owned());
        }
        self.outcomes.insert((test.to_owned(), place.to_owned()), outcome);
    }

    /// Notes that a part of the run broke.
    pub fn add_broken(&mut self, part: &str, reason: String) {
        self.broken.push((part.to_owned(), reason));
    }

    /// The places, in the order in which they were added.
    pub fn places(&self) -> &[String] {
        &self.places
    }

    /// The tests whose names begin so, with what is behind that, and how each went in a place.
    pub fn group<'a>(
        &'a self,
        prefix: &'a str,
        place: &'a str,
    ) -> impl Iterator<Item = (&'a str, Option<&'a Outcome>)> {
        self.tests.iter().filter_map(move |test| {
            let outcome = self.outcomes.get(&(test.clone(), place.to_owned()));
            Some((test.strip_prefix(prefix)?, outcome))
        })
    }

    fn outcomes_of(&self, test: &str) -> Vec<Option<&Outcome>> {
        self.places
            .iter()
            .map(|place| self.outcomes.get(&(test.to_owned(), place.clone())))
            .collect()
    }

    /// Tests that no place could run. What needs a kernel without something is no proof missing.
    fn ran_nowhere(&self) -> Vec<&str> {
        let nowhere = |test: &&String| {
            let outcomes = self.outcomes_of(test);
            let missing = |outcome: &&&Outcome| matches!(outcome, Outcome::Missing(feature) if !feature.starts_with("no-"));
            let seen: Vec<&Outcome> = outcomes.into_iter().flatten().collect();
            !seen.is_empty() && seen.iter().filter(missing).count() == seen.len()
        };
        self.tests.iter().filter(nowhere).map(String::as_str).collect()
    }

    /// Tests that passed and that failed, counting each place. What ran nowhere failed, and so
    /// did what broke.
    fn totals(&self, complete: bool) -> (u64, u64) {
        let (mut passed, mut failed) = self.hermetic.unwrap_or_default();
        for outcome in self.outcomes.values() {
            match outcome {
                Outcome::Ok(_) => passed += 1,
                Outcome::Failed(_) => failed += 1,
                Outcome::Missing(_) => {}
            }
        }
        failed += self.broken.len() as u64;
        if complete {
            failed += self.ran_nowhere().len() as u64;
        }
        (passed, failed)
    }

    /// Prints the table, what failed and the totals; whether all is well. `complete` says that all
    /// places were tried, so that a test that ran nowhere is a failure.
    pub fn print(&self, complete: bool) -> bool {
        self.print_table();
        self.print_failures();
        if complete {
            for test in self.ran_nowhere() {
                println!("{test} ran nowhere");
            }
        }
        for (part, reason) in &self.broken {
            println!("\n{part}: {reason}");
        }
        if let Some((passed, failed)) = self.hermetic {
            println!("\nhermetic tests: {passed} passed, {failed} failed");
        }
        let (passed, failed) = self.totals(complete);
        println!("{passed} passed, {failed} failed");
        failed == 0
    }

    fn print_failures(&self) {
        for test in &self.tests {
            for (place, outcome) in self.places.iter().zip(self.outcomes_of(test)) {
                if let Some(Outcome::Failed(message)) = outcome {
                    println!("\n{test} on {place}:");
                    message.lines().for_each(|line| println!("    {line}"));
                }
            }
        }
    }

    fn print_table(&self) {
        if self.tests.is_empty() {
            return;
        }
        let cell = |outcome: Option<&Outcome>| match outcome {
            None => "-".to_owned(),
            Some(Outcome::Ok(_)) => "ok".to_owned(),
            Some(Outcome::Failed(_)) => "FAILED".to_owned(),
            Some(Outcome::Missing(feature)) => format!("missing {feature}"),
        };
        let width = self.tests.iter().map(String::len).max().unwrap_or(0);
        let row = |name: &str, cells: Vec<String>| {
            let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:<21}")).collect();
            println!("{}", format!("{name:<width$}  {}", cells.join("")).trim_end());
        };
        println!();
        row("live test", self.places.clone());
        for test in &self.tests {
            row(test, self.outcomes_of(test).into_iter().map(cell).collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Summary};

    fn missing(feature: &str) -> Outcome {
        Outcome::Missing(feature.to_owned())
    }

    #[test]
    fn a_test_that_ran_nowhere_fails_a_complete_run() {
        let mut summary = Summary::default();
        summary.add_place("host");
        summary.add_place("6.1");
        summary.add("host", "a", missing("kprobe"));
        summary.add("6.1", "a", Outcome::Ok(String::new()));
        summary.add("host", "b", missing("kprobe"));
        summary.add("6.1", "b", missing("kprobe"));
        summary.add("host", "c", missing("no-kprobe"));
        assert_eq!(summary.ran_nowhere(), ["b"]);
        assert_eq!(summary.totals(true), (1, 1));
        assert_eq!(summary.totals(false), (1, 0));
    }

    #[test]
    fn failures_anywhere_count() {
        let mut summary = Summary::default();
        summary.add_place("host");
        summary.add_hermetic(10, 2);
        summary.add("host", "a", Outcome::Failed("why".to_owned()));
        summary.add_broken("6.1", "does not boot".to_owned());
        assert_eq!(summary.totals(true), (10, 4));
    }
}
