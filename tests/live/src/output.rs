//! What rbtrace printed, and how to ask it questions.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

/// The whole output of an rbtrace that has ended.
pub struct Output {
    /// The command line, for messages.
    pub command: String,
    /// Standard output, without the line that says that probes are attached.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
    /// How it ended.
    pub status: ExitStatus,
}

/// What a failure shows of an output at most, in bytes from each end.
const SHOWN: usize = 1500;

impl Output {
    /// A failure, with the output that led to it.
    pub fn failure(&self, message: impl std::fmt::Display) -> anyhow::Error {
        anyhow!(
            "{message}\n{}\n--- {}\n--- stdout\n{}\n--- stderr\n{}",
            shorten(&self.command),
            self.status,
            shorten(&self.stdout),
            shorten(&self.stderr)
        )
    }

    /// Fails with `message` unless `condition` holds.
    pub fn check(&self, condition: bool, message: impl std::fmt::Display) -> Result<()> {
        if condition { Ok(()) } else { Err(self.failure(message)) }
    }

    /// Fails unless the two are equal.
    pub fn same<T: PartialEq + std::fmt::Debug>(
        &self,
        what: &str,
        got: T,
        expected: T,
    ) -> Result<()> {
        self.check(got == expected, format_args!("{what} is {got:?}, expected {expected:?}"))
    }

    /// Fails unless it ended with exit status 0.
    pub fn success(self) -> Result<Self> {
        self.exited(0)
    }

    /// Fails unless it ended with exit status `code`, and not by a signal.
    pub fn exited(self, code: i32) -> Result<Self> {
        if let Some(signal) = self.status.signal() {
            return Err(self.failure(format_args!("killed by signal {signal}")));
        }
        self.check(
            self.status.code() == Some(code),
            format_args!("the exit status is not {code}"),
        )?;
        Ok(self)
    }

    /// The lines of standard output that are not empty.
    pub fn lines(&self) -> Vec<&str> {
        self.stdout.lines().filter(|line| !line.is_empty()).collect()
    }

    /// Fails unless `line` is one of the lines of standard output.
    pub fn has_line(&self, line: &str) -> Result<()> {
        self.check(self.stdout.lines().any(|one| one == line), format_args!("no line {line:?}"))
    }

    /// Fails unless standard output's lines are these.
    pub fn lines_are<S: AsRef<str>>(&self, expected: &[S]) -> Result<()> {
        let expected: Vec<&str> = expected.iter().map(AsRef::as_ref).collect();
        let lines = self.lines();
        if lines == expected {
            return Ok(());
        }
        let first = lines.iter().zip(&expected).position(|(got, wanted)| got != wanted);
        let at = first.unwrap_or(lines.len().min(expected.len()));
        Err(self.failure(format_args!(
            "{} lines, expected {}; line {} is {:?}, expected {:?}",
            lines.len(),
            expected.len(),
            at + 1,
            lines.get(at),
            expected.get(at)
        )))
    }

    /// The values of a map of counts.
    pub fn counts(&self, map: &str) -> Result<Vec<u64>> {
        let map = self.map(map)?;
        let entries = map.as_object().into_iter().flatten();
        Ok(entries.filter_map(|(_, count)| count.as_u64()).collect())
    }

    /// Fails unless standard error holds `text`.
    pub fn complains(&self, text: &str) -> Result<()> {
        self.check(self.stderr.contains(text), format_args!("standard error does not say {text:?}"))
    }

    /// The records of `-f json`.
    pub fn records(&self) -> Result<Vec<Value>> {
        let lines = self.stdout.lines().filter(|line| !line.is_empty());
        lines
            .map(|line| {
                serde_json::from_str(line)
                    .map_err(|error| self.failure(format_args!("{error}: {line:?}")))
            })
            .collect()
    }

    /// What was printed last under the name of a map: a number, an object by key, or the
    /// buckets of a histogram.
    pub fn map(&self, name: &str) -> Result<Value> {
        let records = self.records()?;
        let mut values = records.iter().rev().filter_map(|record| record.get("data")?.get(name));
        values.next().cloned().ok_or_else(|| self.failure(format_args!("{name} was not printed")))
    }

    /// The number that a map without keys holds.
    pub fn number(&self, name: &str) -> Result<i64> {
        let value = self.map(name)?;
        value.as_i64().ok_or_else(|| self.failure(format_args!("{name} is {value}, no number")))
    }

    /// The number that a map holds under `key`, written as JSON output writes it.
    pub fn number_at(&self, name: &str, key: &str) -> Result<i64> {
        let value = self.map(name)?;
        let number = value.get(key).and_then(Value::as_i64);
        number.ok_or_else(|| self.failure(format_args!("{name}[{key}] is not there")))
    }

    /// The texts that printf printed, in order.
    pub fn printed(&self) -> Result<Vec<String>> {
        let records = self.records()?;
        let texts = records.iter().filter(|record| record["type"] == "printf");
        texts.map(|record| Ok(record["data"].as_str().context("a text")?.to_owned())).collect()
    }
}

fn shorten(text: &str) -> String {
    if text.len() <= 2 * SHOWN {
        return text.to_owned();
    }
    let start = text.floor_char_boundary(SHOWN);
    let end = text.ceil_char_boundary(text.len() - SHOWN);
    format!("{}\n[... {} bytes ...]\n{}", &text[..start], end - start, &text[end..])
}
