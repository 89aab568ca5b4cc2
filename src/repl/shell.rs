//! What a line at the prompt does.

use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::rc::Rc;

use anyhow::{Context, Result, bail};
use rbtrace_lang::diag::{Diagnostic, Label};
use rbtrace_lang::expand::Params;
use rbtrace_lang::hir;
use rbtrace_lang::resolve::Options;
use rbtrace_lang::span::Sources;
use rbtrace_probes_ebpf::plan::Object;
use rbtrace_probes_ebpf::profile::TargetProfile;
use rbtrace_runtime::features::target_profile;

use super::command::{COMMANDS, Command, Which, parse};
use super::engine::{Engine, Running};
use super::input::{self, Typed};
use super::printer::Printer;
use super::save;
use crate::catalog::Machine;
use crate::cli::{self, Cli};
use crate::compile::{self, Compiled, Points, Setting};
use crate::explain;
use crate::report::{self, Loudness};
use crate::source::{self, Program};

/// Most names of probes that `:probes` shows of a block.
const NAMES: usize = 4;

/// What comes after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another one.
    Line,
    /// The end.
    Quit,
}

/// The state of the prompt.
pub struct Shell {
    engine: Engine,
    machine: Rc<Machine>,
    profile: TargetProfile,
    options: Options,
    loudness: Loudness,
    printer: Printer,
    /// The session's maps, with their types.
    maps: Vec<hir::Map>,
    /// Their names, for completion.
    names: Rc<RefCell<Vec<String>>>,
}

impl Shell {
    /// Nothing runs yet.
    pub fn new(
        flags: &Cli,
        machine: Rc<Machine>,
        names: Rc<RefCell<Vec<String>>>,
        printer: Printer,
    ) -> Result<Self> {
        Ok(Self {
            engine: Engine::start(printer.clone())?,
            machine,
            profile: target_profile(),
            options: Options { roomy_maps: true, ..crate::run::options(flags) },
            loudness: crate::run::loudness(flags),
            printer,
            maps: Vec::new(),
            names,
        })
    }

    /// Does what a line says. A mistake is reported and changes nothing.
    pub fn line(&mut self, line: &str) -> Next {
        if line.trim().is_empty() {
            return Next::Line;
        }
        let done = match line.trim_start().starts_with(':') {
            true => self.command(line),
            false => self.typed(line).map(|()| Next::Line),
        };
        done.unwrap_or_else(|error| {
            self.say(&format!("ERROR: {error:#}\n"));
            Next::Line
        })
    }

    /// Ends everything.
    pub fn quit(&mut self) {
        self.engine.finish();
    }

    fn say(&mut self, text: &str) {
        // Without output there is nothing to say it on.
        let _ = self.printer.write_all(text.as_bytes());
    }

    fn typed(&mut self, text: &str) -> Result<()> {
        match input::script(text) {
            Ok(typed) => {
                let source = typed.is_script().then(|| text.trim().to_owned());
                self.run(&typed, source, &[])
            }
            Err((errors, sources)) => {
                let text = report::diagnostics(&errors, &sources, self.loudness);
                self.say(&text);
                Ok(())
            }
        }
    }

    /// Compiles a script and starts it. `source` is what `:save` will write.
    fn run(&mut self, typed: &Typed, source: Option<String>, params: &[String]) -> Result<()> {
        let mut sources = Sources::default();
        let file = sources.add(typed.name.as_str(), typed.script.as_str());
        let params = Params::new(params);
        let setting = Setting {
            machine: &self.machine,
            profile: &self.profile,
            options: &self.options,
            params: &params,
            known_maps: &self.maps,
        };
        let compiled =
            match compile::compile(&mut sources, file, &setting, &mut compile::unobserved) {
                Ok(compiled) => compiled,
                Err(mut failure) => {
                    if let compile::Failure::Script(all) = &mut failure {
                        sources = typed.about(all, sources);
                    }
                    let text = report::failure(&failure, &sources, self.loudness);
                    self.say(&text);
                    return Ok(());
                }
            };
        let mut shown = compiled.warnings.clone();
        let about = typed.about(&mut shown, sources.clone());
        self.say(&report::diagnostics(&shown, &about, self.loudness));
        let Compiled { object, maps, warnings, points } = compiled;
        if self.start(object, source, &sources, &points)? {
            // A map that was only read got its type from a guess: it must not bind what follows.
            let guessed = |map: &hir::Map| {
                let is_about = |label: &Label| label.span.start == map.span.start;
                let about = |w: &Diagnostic| {
                    w.code == "never-stored" && w.labels.first().is_some_and(is_about)
                };
                warnings.iter().any(about)
            };
            let (guessed, known): (Vec<_>, Vec<_>) = maps.into_iter().partition(guessed);
            self.remember(known);
            self.forget(guessed)?;
        }
        Ok(())
    }

    /// Starts an object; whether that went well.
    fn start(
        &mut self,
        object: Object,
        source: Option<String>,
        sources: &Sources,
        points: &Points,
    ) -> Result<bool> {
        let started = match self.engine.call(move |running| running.start(&object, source))? {
            Ok(started) => started,
            Err(error) => {
                let text = report::runtime_error(&error, sources, points, self.loudness);
                self.say(&text);
                return Ok(false);
            }
        };
        for warning in started.warnings {
            self.say(&format!("WARNING: {warning}\n"));
        }
        for error in &started.report.failed {
            let text = report::missing_probe(error, sources, points);
            self.say(&text);
        }
        for note in &started.report.notes {
            self.say(&format!("{note}\n"));
        }
        if let Some(number) = started.number {
            let probes = counted(started.report.attached, "probe");
            self.say(&format!("[{number}] {probes} attached\n"));
        }
        Ok(true)
    }

    fn remember(&mut self, maps: Vec<hir::Map>) {
        for map in maps {
            self.maps.retain(|known| known.name != map.name);
            self.maps.push(map);
        }
        self.maps.sort_by(|a, b| a.name.cmp(&b.name));
        *self.names.borrow_mut() = self.maps.iter().map(|map| map.name.clone()).collect();
    }

    /// Forgets maps that no block uses.
    fn forget(&mut self, maps: Vec<hir::Map>) -> Result<()> {
        if maps.is_empty() {
            return Ok(());
        }
        self.engine.call(move |running| {
            for map in maps {
                if !running.uses(&map.name) {
                    running.session.forget_map(&map.name);
                }
            }
        })
    }

    fn command(&mut self, line: &str) -> Result<Next> {
        match parse(line).map_err(anyhow::Error::msg)? {
            Command::Quit => return Ok(Next::Quit),
            Command::Help(None) => self.help(),
            Command::Help(Some(name)) => match explain::name(&name) {
                Some(text) => self.say(&text),
                None => bail!("{}", explain::unknown(&name)),
            },
            Command::Probes => {
                let text = self.engine.call(|running| probes(running))?;
                self.say(&text);
            }
            Command::Detach(which) => self.detach(which)?,
            Command::Maps => self.print_maps()?,
            Command::Clear(name) => self.clear(&name)?,
            Command::Load { file, params } => self.load(&file, &params)?,
            Command::Save(file) => self.save(&file)?,
        }
        Ok(Next::Line)
    }

    fn help(&mut self) {
        let mut text = String::from(
            "A probe block is attached at once and runs until it is detached:\n\
             \x20   tracepoint:syscalls:sys_enter_openat { @[comm] = count(); }\n\
             A statement is run once, an expression or a map is printed:\n\
             \x20   @            pid + 1            printf(\"%s\\n\", comm)\n\
             Braces may be closed on a later line; Tab completes; Ctrl-C gives up a line.\n",
        );
        for (name, takes, about) in COMMANDS {
            text.push_str(&format!("{:<24}{about}\n", format!("{name} {takes}")));
        }
        self.say(&text);
    }

    fn detach(&mut self, which: Which) -> Result<()> {
        let gone = self.engine.call(move |running| {
            running.detach(|block| match which {
                Which::One(number) => block.number == number,
                Which::All => true,
            })
        })??;
        match which {
            Which::All if gone == 0 => {
                self.say("no block runs\n");
                return Ok(());
            }
            Which::One(number) if gone == 0 => {
                bail!("there is no block {number}; :probes lists those that run");
            }
            _ => {}
        }
        self.say(&format!("{} detached\n", counted(gone, "block")));
        Ok(())
    }

    fn print_maps(&mut self) -> Result<()> {
        if self.maps.is_empty() {
            self.say("there are no maps yet\n");
            return Ok(());
        }
        let names: Vec<&str> = self.maps.iter().map(|map| map.name.as_str()).collect();
        let heading = format!("{}\n", names.join(" "));
        let prints: String = names.iter().map(|name| format!("print({name}); ")).collect();
        self.say(&heading);
        let prints = format!("BEGIN {{ {prints}}}");
        self.run(&Typed::script(input::NAME, &prints), None, &[])
    }

    /// Empties a map. If no block uses it, its type is forgotten, too, so that the name can be
    /// used for something else.
    fn clear(&mut self, name: &str) -> Result<()> {
        if !self.maps.iter().any(|map| map.name == name) {
            bail!("there is no map {name}; :maps lists them");
        }
        let map = name.to_owned();
        let used = self.engine.call(move |running| {
            running.session.clear_map(&map)?;
            let used = running.uses(&map);
            if !used {
                running.session.forget_map(&map);
            }
            Ok::<bool, rbtrace_runtime::Error>(used)
        })??;
        if !used {
            self.maps.retain(|map| map.name != name);
            self.names.borrow_mut().retain(|known| known != name);
        }
        Ok(())
    }

    fn load(&mut self, file: &str, params: &[String]) -> Result<()> {
        match source::read(&cli::input(file))? {
            Program::Script { name, text } => {
                let saved = save::with_defaults(text.trim(), params);
                self.run(&Typed::script(&name, &text), Some(saved), params)
            }
            Program::Object { name, elf } => {
                if !params.is_empty() {
                    bail!("{}", source::no_params(&name));
                }
                let object = source::object(&name, &elf)?;
                self.start(object, None, &Sources::default(), &Points::default()).map(drop)
            }
        }
    }

    fn save(&mut self, file: &str) -> Result<()> {
        let blocks = self.engine.call(|running| running.blocks.clone())?;
        let texts: Vec<String> = blocks.into_iter().filter_map(|block| block.source).collect();
        if texts.is_empty() {
            bail!("no block runs that could be saved");
        }
        let mut out = File::create_new(file).with_context(|| format!("cannot make {file}"))?;
        let script = save::joined(&texts);
        out.write_all(script.as_bytes()).with_context(|| format!("cannot write {file}"))?;
        self.say(&format!("{} saved\n", counted(texts.len(), "script")));
        Ok(())
    }
}

/// `1 probe`, `2 probes`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn probes(running: &Running) -> String {
    if running.blocks.is_empty() {
        return "no block runs\n".into();
    }
    let mut text = String::new();
    for block in &running.blocks {
        let mut names = block.probes.iter().take(NAMES).cloned().collect::<Vec<_>>().join(", ");
        if block.probes.len() > NAMES {
            names.push_str(&format!(" and {} more", block.probes.len() - NAMES));
        }
        text.push_str(&format!("[{}] {names}\n", block.number));
    }
    text
}
