//! Commands of the prompt: lines that begin with a colon.

/// What the user asks of the prompt itself.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// `:probes`
    Probes,
    /// `:detach N`, `:detach all`
    Detach(Which),
    /// `:maps`
    Maps,
    /// `:clear @x`
    Clear(String),
    /// `:load FILE [PARAM]...`
    Load {
        /// The script.
        file: String,
        /// `$1` and so on.
        params: Vec<String>,
    },
    /// `:save FILE`
    Save(String),
    /// `:help`, `:help NAME`
    Help(Option<String>),
    /// `:quit`
    Quit,
}

/// Which blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Each of them.
    All,
    /// The one with this number.
    One(u32),
}

/// Names of the commands, with what they take (in brackets what may be left out) and what they do.
pub const COMMANDS: &[(&str, &str, &str)] = &[
    (":probes", "", "the blocks that run, with their numbers"),
    (":detach", "N|all", "end the block with this number; its END runs"),
    (":maps", "", "the maps and what is in them"),
    (":clear", "@NAME", "empty a map"),
    (":load", "FILE [PARAM]...", "run a script, or a built-in one, beside what runs"),
    (":save", "FILE", "write the blocks that run to a script"),
    (":help", "[NAME]", "this list, or what a function or builtin does"),
    (":quit", "", "end everything; Ctrl-D does the same"),
];

/// Reads a line that begins with a colon. The error says what is wrong.
pub fn parse(line: &str) -> Result<Command, String> {
    let line = line.trim();
    let (name, argument) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let argument = argument.trim();
    // As many letters as tell it from the others will do.
    let mut fitting = COMMANDS.iter().filter(|(full, ..)| name.len() > 1 && full.starts_with(name));
    let (full, takes, _) = match (fitting.next(), fitting.next()) {
        (Some(only), None) => only,
        _ => return Err(format!("there is no command `{name}`; :help lists them")),
    };
    match (takes.is_empty(), argument.is_empty()) {
        (false, true) if !takes.starts_with('[') => return Err(format!("{full} takes {takes}")),
        (true, false) => return Err(format!("{full} takes nothing after it")),
        _ => {}
    }
    Ok(match *full {
        ":probes" => Command::Probes,
        ":detach" if argument == "all" => Command::Detach(Which::All),
        ":detach" => match argument.parse() {
            Ok(number) => Command::Detach(Which::One(number)),
            Err(_) => return Err("`:detach` takes a number that :probes shows, or `all`".into()),
        },
        ":maps" => Command::Maps,
        ":clear" => Command::Clear(format!("@{}", argument.trim_start_matches('@'))),
        ":load" => {
            let mut words = argument.split_whitespace().map(str::to_owned);
            let file = words.next().unwrap_or_default();
            Command::Load { file, params: words.collect() }
        }
        ":save" => Command::Save(argument.into()),
        ":quit" => Command::Quit,
        _ => Command::Help((!argument.is_empty()).then(|| argument.to_owned())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_commands_and_their_short_forms() {
        assert_eq!(parse(":probes"), Ok(Command::Probes));
        assert_eq!(parse(" :detach 3 "), Ok(Command::Detach(Which::One(3))));
        assert_eq!(parse(":detach all"), Ok(Command::Detach(Which::All)));
        assert_eq!(parse(":clear x"), Ok(Command::Clear("@x".into())));
        assert_eq!(parse(":clear @"), Ok(Command::Clear("@".into())));
        assert_eq!(parse(":q"), Ok(Command::Quit));
        assert_eq!(parse(":help"), Ok(Command::Help(None)));
        assert_eq!(parse(":help str"), Ok(Command::Help(Some("str".into()))));
        let load = Command::Load { file: "x.rt".into(), params: vec!["a".into(), "b".into()] };
        assert_eq!(parse(":load x.rt  a b"), Ok(load));
    }

    #[test]
    fn says_what_is_wrong() {
        for (line, part) in [
            (":frobnicate", "no command"),
            (":", "no command"),
            (":detach", "takes N"),
            (":detach x", "number"),
            (":maps x", "nothing after it"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(part), "{line}: {error}");
        }
    }
}
