//! Text put into a source file at byte offsets, so that what nests in the source nests in the result.

/// A mutant's number in the catalogue.
pub type Id = usize;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// At a point.
    Point,
    /// Behind a range: of two that end here, the inner one first.
    Behind(std::cmp::Reverse<usize>),
    /// In front of a range: of two that begin here, the outer one first.
    Before(usize),
}

struct Edit {
    at: usize,
    place: Place,
    /// Bytes of the source that the text replaces.
    skip: usize,
    pieces: Vec<Piece>,
}

/// A piece of inserted text; the compiler's complaint about it is one about its mutants.
pub struct Piece {
    pub text: String,
    pub of: Option<Id>,
}

/// A piece that belongs to no mutant.
pub fn plain(text: impl Into<String>) -> Piece {
    Piece { text: text.into(), of: None }
}

/// The edits of one file, outer ones before those inside them.
#[derive(Default)]
pub struct Weave {
    edits: Vec<Edit>,
}

/// Where mutants ended up in the written file: the innermost range that holds an offset tells which ones are meant.
#[derive(Default)]
pub struct Regions(Vec<(std::ops::Range<usize>, Vec<Id>)>);

impl Weave {
    pub fn point(&mut self, at: usize, pieces: Vec<Piece>) {
        self.edits.push(Edit { at, place: Place::Point, skip: 0, pieces });
    }

    pub fn replace(&mut self, range: std::ops::Range<usize>, text: String) {
        let skip = range.len();
        self.edits.push(Edit { at: range.start, place: Place::Point, skip, pieces: vec![plain(text)] });
    }

    pub fn wrap(&mut self, range: std::ops::Range<usize>, before: Vec<Piece>, behind: &str) {
        let order = self.edits.len();
        self.edits.push(Edit { at: range.start, place: Place::Before(order), skip: 0, pieces: before });
        let place = Place::Behind(std::cmp::Reverse(order));
        self.edits.push(Edit { at: range.end, place, skip: 0, pieces: vec![plain(behind)] });
    }

    pub fn apply(mut self, source: &str) -> (String, Regions) {
        self.edits.sort_by(|a, b| (a.at, &a.place).cmp(&(b.at, &b.place)));
        let mut out = String::new();
        let mut regions = Regions::default();
        let mut starts = std::collections::BTreeMap::new();
        let mut read = 0;
        for edit in &self.edits {
            out.push_str(&source[read..edit.at]);
            read = edit.at + edit.skip;
            if let Place::Before(order) = edit.place {
                starts.insert(order, (out.len(), edit.pieces.iter().filter_map(|p| p.of).collect()));
            }
            for piece in &edit.pieces {
                let start = out.len();
                out.push_str(&piece.text);
                if let Some(id) = piece.of {
                    regions.0.push((start..out.len(), vec![id]));
                }
            }
            if let Place::Behind(std::cmp::Reverse(order)) = edit.place {
                let (start, ids): &(usize, Vec<Id>) = &starts[&order];
                regions.0.push((*start..out.len(), ids.clone()));
            }
        }
        out.push_str(&source[read..]);
        (out, regions)
    }
}

impl Regions {
    pub fn at(&self, offset: usize) -> &[Id] {
        let around = self.0.iter().filter(|(range, ids)| range.contains(&offset) && !ids.is_empty());
        around.min_by_key(|(range, _)| range.len()).map_or(&[], |(_, ids)| ids)
    }
}
