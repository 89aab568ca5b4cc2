use super::*;

/// Builds BTF, byte by byte.
#[derive(Default)]
struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    /// Length of the base's strings.
    before: u32,
}

impl Builder {
    fn over(base: &Btf<'_>) -> Self {
        Self { before: base.strings_end(), ..Self::default() }
    }

    fn string(&mut self, text: &str) -> u32 {
        if self.strings.is_empty() {
            self.strings.push(0);
        }
        if text.is_empty() {
            return 0;
        }
        let at = self.before + self.strings.len() as u32;
        self.strings.extend_from_slice(text.as_bytes());
        self.strings.push(0);
        at
    }

    fn add(&mut self, name: &str, kind: u32, vlen: u32, last: u32, rest: &[u32]) {
        let name = self.string(name);
        for word in [name, kind << 24 | vlen, last].iter().chain(rest) {
            self.types.extend(word.to_le_bytes());
        }
    }

    fn finish(mut self) -> Vec<u8> {
        self.string("");
        let (types, strings) = (self.types.len() as u32, self.strings.len() as u32);
        let mut out = Vec::new();
        for word in [0x0001_eb9f, 24, 0, types, types, strings] {
            out.extend(u32::to_le_bytes(word));
        }
        out.extend(self.types);
        out.extend(self.strings);
        out
    }
}

const FLAG: u32 = 1 << 31 >> 24;

/// `int`, `const int *`, `struct point { int x; int y : 5; }`, `enum color { RED = -1 }`.
fn sample() -> Vec<u8> {
    let mut b = Builder::default();
    b.add("int", 1, 0, 4, &[1 << 24 | 32]);
    b.add("", 10, 0, 1, &[]);
    b.add("", 2, 0, 2, &[]);
    let (x, y) = (b.string("x"), b.string("y"));
    b.add("point", 4 | FLAG, 2, 8, &[x, 1, 0, y, 1, 5 << 24 | 32]);
    let red = b.string("RED");
    b.add("color", 6 | FLAG, 1, 4, &[red, u32::MAX]);
    b.add("", 3, 0, 0, &[4, 1, 3]);
    b.add("endpoint", 8, 0, 4, &[]);
    b.finish()
}

#[test]
fn finds_types_by_name_and_number() {
    let btf = Btf::parse(sample(), None).expect("BTF");
    assert_eq!((btf.first_id(), btf.end_id()), (1, 8));
    let point = btf.find(&[Kind::Struct], "point").expect("a struct");
    assert_eq!((point.id(), point.size()), (4, Some(8)));
    let members: Vec<_> = point.members().map(|m| (m.name, m.bit_offset, m.bits)).collect();
    assert_eq!(members, [("x", 0, None), ("y", 32, Some(5))]);
    assert!(btf.find(&[Kind::Union], "point").is_none());
    assert!(btf.find(&[Kind::Struct], "poin").is_none());
    let color = btf.find(&[Kind::Enum], "color").expect("an enum");
    let variants: Vec<_> = color.variants().map(|v| (v.name, v.value)).collect();
    assert_eq!(variants, [("RED", -1)]);
    assert_eq!(btf.resolve(2).expect("int").name(), "int");
    assert_eq!(btf.size_of(6), Some(24));
    assert_eq!(btf.get(0).map(|t| t.id()), None);
}

#[test]
fn split_btf_goes_on_where_its_base_ends() {
    let base = Arc::new(Btf::parse(sample(), None).expect("BTF"));
    let mut b = Builder::over(&base);
    let origin = b.string("origin");
    b.add("module_thing", 4, 1, 8, &[origin, 4, 0]);
    let split = Btf::parse(b.finish(), Some(base)).expect("BTF");
    assert_eq!(split.ids(), 8..9);
    let thing = split.find(&[Kind::Struct], "module_thing").expect("a struct");
    let member = thing.members().next().expect("a member");
    assert_eq!(member.name, "origin");
    assert_eq!(split.get(member.ty).expect("the base's").name(), "point");
}

#[test]
fn names_that_are_the_tail_of_others_are_found() {
    let mut b = Builder::default();
    let long = b.string("long_name");
    b.add("other", 7, 0, 0, &[]);
    // Points into the middle of `long_name`.
    for word in [long + 5, 7 << 24, 0] {
        b.types.extend(u32::to_le_bytes(word));
    }
    let btf = Btf::parse(b.finish(), None).expect("BTF");
    assert_eq!(btf.find(&[Kind::Fwd], "name").map(|t| t.id()), Some(2));
}

/// Looks at everything there is.
fn walk(btf: &Btf<'_>) {
    for ty in btf.types() {
        let _ = (ty.name(), ty.size(), ty.int(), ty.array(), btf.size_of(ty.id()));
        let _ = (ty.members().count(), ty.params().count(), ty.variants().count());
        let _ = btf.resolve(ty.id());
    }
}

#[test]
fn damaged_btf_never_panics() {
    let whole = sample();
    for end in 0..whole.len() {
        if let Ok(btf) = Btf::parse(&whole[..end], None) {
            walk(&btf);
        }
    }
    // Every byte replaced by what may hurt.
    for at in 0..whole.len() {
        for value in [0, 1, 0x7f, 0xff] {
            let mut data = whole.clone();
            data[at] = value;
            if let Ok(btf) = Btf::parse(data, None) {
                walk(&btf);
            }
        }
    }
}
