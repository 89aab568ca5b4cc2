//! An interpreter of the typed program, written for clearness alone: what it says is what the
//! generated code must do. It knows `BEGIN` blocks: no pointers, no probes' arguments.

mod aggregate;
mod expr;
mod stmt;
mod value;

use std::collections::BTreeMap;

use rbtrace_lang::hir::{Map, MapId, ProbeBlock, Program, Type};
use rbtrace_probes_ebpf::kinds::ProbeKind;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use aggregate::Totals;
pub use value::Value;

/// Rounds of loops and statements that a program may take.
const MOST_STEPS: u64 = 1_000_000;

/// What a program did.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// The values that it printed, as JSON output shows them.
    pub printed: Vec<Json>,
    /// Its maps at the end, those without any entry left out.
    pub maps: BTreeMap<String, Json>,
}

/// Why an interpretation ended early.
#[derive(Debug)]
pub enum Stop {
    /// Something that the interpreter does not know.
    Unknown(String),
    /// `return`, or `exit`.
    Return,
    /// `break`
    Break,
    /// `continue`
    Continue,
    /// It takes too long.
    Endless,
}

type Result<T> = std::result::Result<T, Stop>;

/// Runs the `BEGIN` blocks of a program.
///
/// # Errors
///
/// What the interpreter does not know, in words.
pub fn run(program: &Program) -> std::result::Result<Outcome, String> {
    let mut machine = Machine {
        program,
        maps: vec![BTreeMap::new(); program.maps.len()],
        totals: vec![BTreeMap::new(); program.maps.len()],
        locals: Vec::new(),
        printed: Vec::new(),
        steps: 0,
    };
    for block in program.blocks.iter().filter(|block| block.kind == ProbeKind::Begin) {
        match machine.block(block) {
            Ok(()) | Err(Stop::Return) => {}
            Err(other) => return Err(format!("{other:?}")),
        }
    }
    let maps = (0..program.maps.len()).filter_map(|at| machine.map_at_end(at)).collect();
    Ok(Outcome { printed: machine.printed, maps })
}

struct Machine<'a> {
    program: &'a Program,
    /// Entries of maps that do not aggregate; the key of a scalar map is an empty tuple.
    maps: Vec<BTreeMap<Value, Value>>,
    /// Entries of maps that do.
    totals: Vec<BTreeMap<Value, Totals>>,
    /// Variables of the block that runs.
    locals: Vec<Value>,
    printed: Vec<Json>,
    steps: u64,
}

impl Machine<'_> {
    fn block(&mut self, block: &ProbeBlock) -> Result<()> {
        self.locals = block.locals.iter().map(|local| Value::zero(&local.ty)).collect();
        if let Some(predicate) = &block.predicate
            && self.eval(predicate)?.int() == 0
        {
            return Ok(());
        }
        self.stmts(&block.body)
    }

    fn step(&mut self) -> Result<()> {
        self.steps += 1;
        if self.steps > MOST_STEPS { Err(Stop::Endless) } else { Ok(()) }
    }

    fn map(&self, id: MapId) -> Result<&Map> {
        self.program.maps.get(id.index()).ok_or_else(|| Stop::Unknown(format!("{id:?}")))
    }

    fn entries(&mut self, id: MapId) -> &mut BTreeMap<Value, Value> {
        &mut self.maps[id.index()]
    }

    fn map_at_end(&self, at: usize) -> Option<(String, Json)> {
        let map = self.program.maps.get(at)?;
        let shown: Vec<(String, Json)> = match &map.value {
            Type::Aggregate(aggregate) => {
                let all = self.totals.get(at)?.iter();
                all.map(|(key, totals)| (key.key(&map.key), totals.json(aggregate))).collect()
            }
            ty => {
                let all = self.maps.get(at)?.iter();
                all.map(|(key, value)| (key.key(&map.key), value.json(ty))).collect()
            }
        };
        let content = match (&map.key, shown.first()) {
            (_, None) => return None,
            (Type::Void, Some((_, value))) => value.clone(),
            _ => Json::Object(shown.into_iter().collect()),
        };
        Some((map.name.clone(), content))
    }
}
